"""`file:PATH`: models written here, against the same sums in numpy or the same network in torch."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
import torch
from openvino import opset13 as ops

from indexer.encoders import load_image_encoder
from indexer.encoders.model_file import EXAMPLE, PixelSettings, _written, parse_preprocess
from indexer.errors import PhotoseekError
from indexer.photos.square_transform import SquareTransform

PIXELS = np.random.default_rng(0).integers(0, 256, (11, 8, 8, 3), dtype=np.uint8)
MEAN, STD = np.float32([0.485, 0.456, 0.406]), np.float32([0.229, 0.224, 0.225])


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PHOTOSEEK_CACHE", str(tmp_path / "cache"))
    torch.set_num_threads(1)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def encode(path: Path, preprocess: str) -> np.ndarray:
    rows = load_image_encoder(f"file:{path}", precision="f32", preprocess=preprocess).encode(PIXELS)
    assert rows.dtype == np.float32
    return rows


def refusal(path: Path, preprocess: str | None = "size=8") -> str:
    with pytest.raises(PhotoseekError) as caught:
        load_image_encoder(f"file:{path}", preprocess=preprocess)
    return str(caught.value)


def write_graph(path: Path, shape: list[int], output: str = "itself", seed: int = 0) -> np.ndarray:
    """Write an OpenVINO file that maps three channels to four, and return the (4, 3) weights.

    `output` "map" keeps the space, (n, 4, h, w) or (n, h, w, 4); "vector" takes its mean; "both" gives the two.
    """
    weights = np.random.default_rng(seed).normal(size=(4, 3)).astype(np.float32)
    picture = ops.parameter(shape, np.float32, name="picture")
    channels_first = shape[1] == 3
    nhwc = ops.transpose(picture, ops.constant([0, 2, 3, 1])) if channels_first else picture
    features = ops.matmul(nhwc, ops.constant(weights), False, True)
    vector = ops.reduce_mean(features, ops.constant([1, 2]), False)
    if channels_first:
        features = ops.transpose(features, ops.constant([0, 3, 1, 2]))
    features.output(0).set_names({"features"})
    vector.output(0).set_names({"vector"})
    outputs = {"map": [features], "vector": [vector], "both": [features, vector]}[output]
    openvino.save_model(openvino.Model(outputs, [picture], "m"), path, compress_to_fp16=False)
    return weights


@pytest.mark.parametrize("shape", [[1, 3, 8, 8], [-1, 3, -1, -1], [-1, 8, 8, 3]])
@pytest.mark.parametrize("output", ["map", "vector"])
def test_either_layout_gives_the_unit_mean_over_space(tmp_path: Path, shape: list[int], output: str) -> None:
    weights = write_graph(tmp_path / "m.xml", shape, output)
    rows = encode(tmp_path / "m.xml", "size=8,scale=255,mean=0.485/0.456/0.406,std=0.229/0.224/0.225")
    theirs = unit(((PIXELS / 255 - MEAN) / STD).mean(axis=(1, 2)) @ weights.T)
    assert np.abs(rows - theirs).max() < 1e-5


def test_what_is_left_out_changes_nothing_and_bgr_turns_the_channels(tmp_path: Path) -> None:
    weights = write_graph(tmp_path / "m.xml", [1, 3, 8, 8], "vector")
    means = PIXELS.astype(np.float64).mean(axis=(1, 2))
    assert np.abs(encode(tmp_path / "m.xml", "filter=bicubic") - unit(means @ weights.T)).max() < 1e-5
    # The means are those of the model's own channels: blue 10, green 20, red 30.
    turned = unit((means[:, ::-1] - [10, 20, 30]) @ weights.T)
    assert np.abs(encode(tmp_path / "m.xml", "order=bgr,mean=10/20/30") - turned).max() < 1e-5


def test_any_tensor_can_be_the_output(tmp_path: Path) -> None:
    weights = write_graph(tmp_path / "m.xml", [1, 3, 8, 8], "both")
    wanted = unit(PIXELS.astype(np.float64).mean(axis=(1, 2)) @ weights.T)
    assert np.abs(encode(tmp_path / "m.xml", "output=vector") - wanted).max() < 1e-5
    assert np.abs(encode(tmp_path / "m.xml", "output=features") - wanted).max() < 1e-5
    assert refusal(tmp_path / "m.xml") == (
        f"file:{tmp_path}/m.xml: has 2 outputs; choose one with --preprocess output=NAME (features, vector)"
    )
    assert refusal(tmp_path / "m.xml", "output=logits") == (
        f"file:{tmp_path}/m.xml: no tensor named 'logits' to take as its output"
    )


@pytest.mark.filterwarnings("ignore:.torch.jit:FutureWarning")
def test_a_converted_torch_network_gives_what_torch_gives(tmp_path: Path) -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()
    )
    converted = openvino.convert_model(net.eval(), example_input=torch.zeros(2, 3, 8, 8), input=[-1, 3, 8, 8])
    openvino.save_model(converted, tmp_path / "net.xml", compress_to_fp16=False)
    encoder = load_image_encoder(
        f"file:{tmp_path}/net.xml", precision="f32", preprocess="mode=crop,resize=10,scale=255,std=0.5"
    )
    assert (encoder.dim, encoder.transform) == (8, SquareTransform(8, "crop", 10))
    with torch.inference_mode():
        theirs = net(torch.from_numpy(PIXELS).permute(0, 3, 1, 2) / 255 / 0.5).numpy()
    assert (encoder.encode(PIXELS) * unit(theirs)).sum(axis=1).min() > 0.99999


def varint(number: int) -> bytes:
    head = number & 0x7F
    return bytes([head | 0x80]) + varint(number >> 7) if number > 0x7F else bytes([head])


def message(*fields: tuple[int, Any]) -> bytes:
    """Return a protocol buffer: (number, int) is a varint, (number, str or bytes) is length-delimited."""
    parts = []
    for number, value in fields:
        if isinstance(value, int):
            parts.append(varint(number << 3) + varint(value))
        else:
            data = value.encode() if isinstance(value, str) else value
            parts.append(varint(number << 3 | 2) + varint(len(data)) + data)
    return b"".join(parts)


def write_onnx(path: Path, weights: np.ndarray) -> None:
    """Write an ONNX file of one 1x1 convolution, weights (d, 3, 1, 1), and a global average pool: (n, d, 1, 1)."""

    def value(name: str, *dims: int | str) -> bytes:
        shape = message(*((1, message((2 if isinstance(dim, str) else 1, dim))) for dim in dims))
        return message((1, name), (2, message((1, message((1, 1), (2, shape))))))

    tensor = message(*((1, side) for side in weights.shape), (2, 1), (8, "w"), (9, weights.tobytes()))
    conv = message((1, "picture"), (1, "w"), (2, "features"), (4, "Conv"))
    pool = message((1, "features"), (2, "pooled"), (4, "GlobalAveragePool"))
    graph = message(
        *((1, conv), (1, pool), (2, "g"), (5, tensor)),
        *((11, value("picture", "n", 3, 8, 8)), (12, value("pooled", "n", len(weights), 1, 1))),
    )
    path.write_bytes(message((1, 8), (7, graph), (8, message((2, 13)))))


def test_an_onnx_file_is_read(tmp_path: Path) -> None:
    weights = np.random.default_rng(3).normal(size=(5, 3, 1, 1)).astype(np.float32)
    write_onnx(tmp_path / "net.onnx", weights)
    rows = encode(tmp_path / "net.onnx", "scale=255")
    assert np.abs(rows - unit(PIXELS.mean(axis=(1, 2)) @ weights[:, :, 0, 0].T)).max() < 1e-5


def test_fingerprints_follow_the_weights_and_the_preprocessing_and_not_the_place(tmp_path: Path) -> None:
    for place, seed in (("a", 0), ("c", 1)):
        (tmp_path / place).mkdir()
        write_graph(tmp_path / place / "m.xml", [1, 3, 8, 8], "vector", seed)
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    keys = []
    for place, preprocess in (("a", "scale=255"), ("b", "scale=255"), ("a", ""), ("c", "scale=255")):
        keys.append(load_image_encoder(f"file:{tmp_path}/{place}/m.xml", preprocess=preprocess).fingerprint)
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3
    assert {key.rpartition("@")[0] for key in keys} == {"file:m.xml"}


def test_preprocess_is_read_key_by_key() -> None:
    assert parse_preprocess("") == PixelSettings()
    assert parse_preprocess(
        " size=224, mode=squash ,filter=lanczos,layout=nhwc,mean=127,std=128,order=bgr"
    ) == PixelSettings(size=224, filter="lanczos", layout="nhwc", mean=(127.0,), std=(128.0,), order="bgr")
    assert parse_preprocess(EXAMPLE) == PixelSettings(
        size=224, mode="crop", resize=256, scale=255.0, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            "sise=3",
            "no key 'sise'; there are: size, mode, resize, filter, scale, mean, std, order, layout, output",
        ),
        ("size", "size= must be a number of pixels"),
        ("size=big", "size=big must be a number of pixels"),
        ("resize=0", "resize=0 must be a number of pixels"),
        ("output=", "output= must be the name of a tensor"),
        ("scale=0", "scale=0 must be a number that is not 0"),
        ("mean=1/2", "mean=1/2 must be one number or three, such as 0.485/0.456/0.406"),
        ("mean=nan", "mean=nan must be one number or three, such as 0.485/0.456/0.406"),
        ("std=1/0/1", "std=1/0/1 must be one number or three, such as 0.229/0.224/0.225, none of them 0"),
        ("mode=stretch", "mode=stretch must be squash or crop"),
        ("layout=nchw,layout=chw", "layout=chw must be nchw or nhwc"),
        ("size=224,mode=crop,resize=200", "mode=crop needs resize=224 or more"),
    ],
)
def test_bad_preprocessing_names_the_key(text: str, line: str) -> None:
    with pytest.raises(PhotoseekError) as caught:
        parse_preprocess(text)
    assert str(caught.value) == f"--preprocess: {line}"


def test_files_that_are_no_image_model_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "m.xml"
    name = f"file:{path}"
    assert refusal(path) == f"{name}: no such file"
    write_graph(path, [1, 3, 8, 8], "vector")
    assert refusal(path, None) == f"{name}: say what pixels it wants, e.g. --preprocess {EXAMPLE}"
    assert refusal(path, "size=9") == f"{name}: takes pictures of 8 x 8, not size=9"
    assert refusal(path, "mode=crop") == "--preprocess: mode=crop needs resize=8 or more"
    write_graph(path, [-1, 3, -1, -1], "vector")
    assert refusal(path, "") == f"{name}: takes pictures of any size; say which with --preprocess size=224"
    write_graph(path, [1, 3, 8, 6], "vector")
    assert refusal(path) == f"{name}: takes pictures of 6 x 8; only square ones are offered"
    write_graph(path, [1, 8, 3, 3], "vector")
    assert refusal(path, "layout=nchw") == (
        f"{name}: its input (1, 8, 3, 3) is no batch of colour pictures (if it is: layout=nchw or layout=nhwc)"
    )
    (tmp_path / "m.pt").write_bytes(b"x")
    assert refusal(tmp_path / "m.pt") == (
        f"file:{tmp_path}/m.pt: not a model of a kind that is read (.onnx, .xml, .tflite)"
    )
    for broken in ("m.onnx", "m.tflite"):
        (tmp_path / broken).write_bytes(b"not a model")
        assert refusal(tmp_path / broken).startswith(f"file:{tmp_path}/{broken}: OpenVINO cannot read it (")
        assert "\n" not in refusal(tmp_path / broken)


def test_a_model_that_works_on_one_photo_at_a_time_is_refused(tmp_path: Path) -> None:
    picture = ops.parameter([1, 3, 8, 8], np.float32)
    flat = ops.reshape(ops.reduce_mean(picture, ops.constant([2, 3]), False), ops.constant([1, 3]), False)
    openvino.save_model(openvino.Model([flat], [picture], "m"), tmp_path / "m.xml")
    assert refusal(tmp_path / "m.xml") == (
        f"file:{tmp_path}/m.xml: works on one photo at a time; export it with a free batch size"
    )


def test_an_output_that_is_no_vector_is_refused(tmp_path: Path) -> None:
    picture = ops.parameter([-1, 3, 8, 8], np.float32)
    tokens = ops.reshape(picture, ops.constant([0, 3, 64]), True)
    openvino.save_model(openvino.Model([tokens], [picture], "m"), tmp_path / "m.xml")
    assert refusal(tmp_path / "m.xml") == (
        f"file:{tmp_path}/m.xml: its output [?,3,64] is not one vector per photo; "
        "name another with --preprocess output=NAME"
    )


def test_pixel_settings_are_in_fingerprints_as_they_were_first_written() -> None:
    assert _written(PixelSettings(size=32, mean=(0.5,), output="pool")) == (
        "Pixels(size=32, mode='squash', resize=0, filter='bilinear', scale=1.0, mean=(0.5,), std=(1.0,), order='rgb', "
        "layout='', output='pool')"
    )
