"""Small joint checkpoints: random ones, as their libraries save them, and ones that have learned three colours."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image
from torch.nn.functional import cross_entropy, logsigmoid

from checkpoints.tiny_huggingface import END, SMALL, WORDS, save_tokenizer
from reranker.joint_ranker import everyday_captions

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (30, 40, 220), "grey": (128, 128, 128)}
PROMPTED = ("a photo of {}", "a photo of a {}", "a photo of the {}")
# Steps after which the colours are told apart; a second or two.
STEPS = 80
# The architecture of MobileCLIP, with the smallest of its vision networks and a text side of two layers.
MOBILE_CLIP = {
    "embed_dim": 24,
    "vision_cfg": {
        "timm_model_name": "fastvit_mci0",
        "timm_model_pretrained": False,
        "timm_pool": "avg",
        "timm_proj": None,
        "image_size": 64,
    },
    "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
    "custom_text": True,
}


@dataclass(frozen=True, slots=True)
class JointCheckpoint:
    """A saved checkpoint of transformers, with the library's own network, image processor and tokenizer."""

    folder: Path
    network: Any
    processor: Any
    tokenizer: Any

    def tokens(self, texts: list[str]) -> dict[str, Any]:
        """Cut texts as the architecture was trained on them."""
        if isinstance(self.network, transformers.SiglipModel):
            ids = self.tokenizer(texts, padding="max_length", truncation=True, max_length=16, return_tensors="pt")
            return {"input_ids": ids.input_ids}
        return dict(self.tokenizer(texts, padding=True, truncation=True, max_length=16, return_tensors="pt"))

    def pixels(self, photos: list[Image.Image]) -> Any:
        return self.processor(images=photos, return_tensors="pt")["pixel_values"]

    def text_rows(self, texts: list[str]) -> np.ndarray:
        """Embed texts by the library: (n, d) unit rows."""
        with torch.inference_mode():
            return _unit(self.network.get_text_features(**self.tokens(texts)).pooler_output)

    def photo_rows(self, photos: list[Image.Image]) -> np.ndarray:
        """Embed photos by the library: (n, d) unit rows."""
        with torch.inference_mode():
            return _unit(self.network.get_image_features(pixel_values=self.pixels(photos)).pooler_output)

    def logits(self, texts: list[str], photos: list[Image.Image]) -> np.ndarray:
        """Score every photo for every text by the library's own forward pass: (texts, photos)."""
        with torch.inference_mode():
            return self.network(**self.tokens(texts), pixel_values=self.pixels(photos)).logits_per_text.numpy()


def make_clip(folder: Path, words: list[str] | None = None) -> JointCheckpoint:
    words = words or WORDS
    text = {**SMALL, "vocab_size": 40, "max_position_embeddings": 16, "bos_token_id": 1, "eos_token_id": 3 + len(words)}
    config = transformers.CLIPConfig(
        text_config=text, vision_config={**SMALL, "image_size": 32, "patch_size": 8}, projection_dim=24
    )
    processor = transformers.CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=32)
    return _saved(folder, transformers.CLIPModel(config), processor, words)


def make_siglip(folder: Path, words: list[str] | None = None) -> JointCheckpoint:
    config = transformers.SiglipConfig(
        text_config={**SMALL, "vocab_size": 40, "max_position_embeddings": 16, "projection_size": 32},
        vision_config={**SMALL, "image_size": 32, "patch_size": 8},
    )
    network = transformers.SiglipModel(config)
    # As trained checkpoints have them: the logarithm of the scale, and a bias far below 0.
    network.logit_scale.data.fill_(np.log(12))
    network.logit_bias.data.fill_(-6)
    processor = transformers.SiglipImageProcessor(size={"height": 32, "width": 32})
    return _saved(folder, network, processor, words or WORDS)


def make_siglip_of_sentence_pieces(folder: Path) -> JointCheckpoint:
    """Save a SigLIP with its own tokenizer, of 200 pieces learned from the everyday captions."""
    import sentencepiece

    folder.mkdir(parents=True)
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([caption.lower() for caption in everyday_captions()]),
        model_prefix=str(folder / "spiece"),
        vocab_size=200,
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        num_threads=1,
        minloglevel=2,
    )
    config = transformers.SiglipConfig(
        text_config={**SMALL, "vocab_size": 200, "max_position_embeddings": 16, "projection_size": 32},
        vision_config={**SMALL, "image_size": 32, "patch_size": 8},
    )
    processor = transformers.SiglipImageProcessor(size={"height": 32, "width": 32})
    tokenizer = transformers.SiglipTokenizer(str(folder / "spiece.model"), model_max_length=16)
    network = transformers.SiglipModel(config).eval()
    for part in (network, processor, tokenizer):
        part.save_pretrained(folder)
    return JointCheckpoint(folder, network, processor, tokenizer)


def teach_colours(checkpoint: JointCheckpoint) -> None:
    """Train a checkpoint until it tells plain red, green, blue and grey photos apart, and save it again.

    Each colour is asked for by its name and by the forms of short texts; grey is what any unknown words ask for.
    """
    network, generator = checkpoint.network.train(), np.random.default_rng(0)
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-3)
    for step in range(STEPS):
        form = ("{}", *PROMPTED)[step % 4]
        texts = [form.format(name) for name in list(COLOURS)[:3]]
        texts.append(" ".join(generator.permutation(["a", "of", "the", "xx", "xx", "xx"])))
        photos = [plain_photo(colour, generator) for colour in COLOURS.values()]
        output = network(**checkpoint.tokens(texts), pixel_values=checkpoint.pixels(photos))
        if isinstance(network, transformers.SiglipModel):
            loss = -logsigmoid((2 * torch.eye(4) - 1) * output.logits_per_text).sum(dim=1).mean()
        else:
            own = torch.arange(4)
            loss = cross_entropy(output.logits_per_text, own) + cross_entropy(output.logits_per_image, own)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    network.eval().save_pretrained(checkpoint.folder)


def plain_photo(colour: tuple[int, int, int], generator: np.random.Generator | None = None) -> Image.Image:
    """Return a photo of one colour, moved by up to 20 levels at random if a generator is given."""
    moved = np.array(colour) + (0 if generator is None else generator.integers(-20, 21, 3))
    return Image.new("RGB", (48, 40), tuple(int(level) for level in np.clip(moved, 0, 255)))


def save_open_clip(folder: Path) -> Any:
    """Save a random MobileCLIP as open_clip's hub repositories hold it, and return open_clip's own network."""
    import open_clip
    from safetensors.torch import save_file

    folder.mkdir(parents=True)
    preprocessing = {"mean": [0, 0, 0], "std": [1, 1, 1], "interpolation": "bilinear", "resize_mode": "shortest"}
    config = {"model_cfg": MOBILE_CLIP, "preprocess_cfg": preprocessing}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    network = open_clip.create_model(f"local-dir:{folder}", load_weights=False)
    save_file(network.state_dict(), folder / "open_clip_model.safetensors")
    return network.eval()


def _saved(folder: Path, network: Any, processor: Any, words: list[str]) -> JointCheckpoint:
    network.eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    tokenizer = save_tokenizer(folder, words, model_max_length=16)
    assert words is not WORDS or tokenizer.eos_token_id == END
    return JointCheckpoint(folder, network, processor, tokenizer)


def _unit(rows: Any) -> np.ndarray:
    return np.asarray(torch.nn.functional.normalize(rows, dim=1))
