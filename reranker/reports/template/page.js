// Tables: a click on a heading sorts by its column, again turns the order; a field above filters the rows.
for (const box of document.querySelectorAll(".table")) {
  const body = box.querySelector("tbody");
  const heads = [...box.querySelectorAll("th")];
  const key = (row, column) => row.cells[column].dataset.key;
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const numbers = [...body.rows].every((row) => key(row, column) === "" || !isNaN(key(row, column)));
    // Numbers are wanted largest first, words from A.
    const up = head.ariaSort ? head.ariaSort === "descending" : !numbers;
    const compare = (a, b) => numbers ? a - b : a.localeCompare(b);
    const rows = [...body.rows].sort((a, b) => (up ? 1 : -1) * compare(key(a, column), key(b, column)));
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", up ? "ascending" : "descending");
    body.append(...rows);
  }));
  const field = box.querySelector("input");
  if (field) field.addEventListener("input", () => {
    const wanted = field.value.toLowerCase();
    let left = 0;
    for (const row of body.rows) {
      row.hidden = !row.textContent.toLowerCase().includes(wanted);
      left += !row.hidden;
    }
    box.querySelector(".count").textContent = `${left.toLocaleString("en")} rows`;
  });
}
