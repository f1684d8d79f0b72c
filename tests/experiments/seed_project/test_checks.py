import shutil
from pathlib import Path

import numpy as np

from command_line import SAMPLE
from experiments.seed_project.checks import check_data
from experiments.seed_project.project import ScoredPairs, Selection
from reranker.judgments.judged_folder import load_judgments
from reranker.moderation.policy import Policy
from tiny_judged import made


def test_the_checks_find_a_photo_on_both_sides_a_test_photo_and_a_blocked_one(tmp_path: Path) -> None:
    shutil.copytree(SAMPLE, tmp_path / "judged")
    shutil.copy(tmp_path / "judged/test_images/saucer.jpg", tmp_path / "judged/train_images/cat.jpg")
    with open(tmp_path / "judged/Flickr8k.token.txt", "a") as file:
        file.write("spoon.jpg#9\tA child holds a spoon .\n")
    judgments, policy = load_judgments(tmp_path / "judged"), Policy.load("minors")
    kept = judgments.restrict(judgments.sets["train_images"])
    # The sample has a photo of the kind already.
    assert len(policy.blocked_photos(kept.captions.items()) - {"spoon.jpg"}) == 1
    features = made(3, seed=0)[0]
    scores = np.array([0, 1 / 3, 1])
    pairs = ScoredPairs((), np.array([0, 1, 1]), np.zeros(3, int), scores, np.array([0, 1]), np.array([2]))
    checks = check_data(Selection(judgments, kept, kept, policy), features, pairs)
    assert [check.passed for check in checks] == [True, False, False, False, True]
    assert [check.numbers for check in checks] == [
        "from 0.00 to 1.00",
        "2 and 1 photos, 1 on both",
        "2 of 30 do",
        "1 of 6 are",
        "3 x 40 and 12 x 30 numbers",
    ]
