"""`file:PATH`: an ONNX, OpenVINO or TFLite image model, with its preprocessing put into the network."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from indexer.encoders.image_encoder import ImageEncoder, ImageExport
from indexer.encoders.samples import sample_photos
from indexer.encoders.torch_encoder import CHECKED_PHOTOS
from indexer.errors import PhotoseekError, last_line
from indexer.inference.export import check_export, export_once, fingerprint
from indexer.inference.network import MODEL
from indexer.inference.openvino_runtime import openvino_core
from indexer.photos.square_transform import SquareTransform
from indexer.user_paths import expand_home

SUFFIXES = (".onnx", ".xml", ".tflite")
EXAMPLE = "size=224,mode=crop,resize=256,scale=255,mean=0.485/0.456/0.406,std=0.229/0.224/0.225"
# Keys of --preprocess, and what each has to be, for the line that refuses another value.
WANTED = {
    "size": "a number of pixels",
    "mode": "squash or crop",
    "resize": "a number of pixels",
    "filter": "nearest or box or bilinear or hamming or bicubic or lanczos",
    "scale": "a number that is not 0",
    "mean": "one number or three, such as 0.485/0.456/0.406",
    "std": "one number or three, such as 0.229/0.224/0.225, none of them 0",
    "order": "rgb or bgr",
    "layout": "nchw or nhwc",
    "output": "the name of a tensor",
}
# Part of the fingerprint.
RECIPE = "output, averaged over space, unit; v1"


@dataclass(frozen=True, slots=True)
class PixelSettings:
    """Preprocessing of a network, as `--preprocess` gives it: `(channel / scale - mean) / std` of the square.

    Whatever is left out changes nothing: the size is the model's own, the whole photo is squashed into it, and the
    channels, red first, stay 0 to 255.

    Attributes:
        size: Side of the square in pixels, 0 for the model's own.
        mode: As in `SquareTransform`.
        resize: As in `SquareTransform`.
        filter: As in `SquareTransform`.
        scale: What channels are divided by.
        mean: What is subtracted then, for all channels or for each in the model's own order.
        std: What they are divided by then, for all channels or for each in the model's own order.
        order: "rgb" or "bgr".
        layout: "nchw" or "nhwc", "" to read it off the model's input.
        output: Name of the tensor to take, "" for the only output.
    """

    size: int = 0
    mode: str = "squash"
    resize: int = 0
    filter: str = "bilinear"
    scale: float = 1.0
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    order: str = "rgb"
    layout: str = ""
    output: str = ""


def load_model_file(path: str, precision: str, preprocess: str | None) -> ImageEncoder:
    """Load an image encoder from a model file; it runs on the CPU whatever the device.

    Args:
        path: The file.
        precision: What to compute in, as in `ImageEncoder`.
        preprocess: What pixels it wants, as `parse_preprocess` reads it.

    Raises:
        PhotoseekError: The file is missing, not an image model, or cannot be run.
    """
    file = Path(expand_home(path)).resolve()
    name = f"file:{file}"
    if not file.is_file():
        raise PhotoseekError(f"{name}: no such file")
    if file.suffix.lower() not in SUFFIXES:
        raise PhotoseekError(f"{name}: not a model of a kind that is read ({', '.join(SUFFIXES)})")
    if preprocess is None:
        raise PhotoseekError(f"{name}: say what pixels it wants, e.g. --preprocess {EXAMPLE}")
    pixels = parse_preprocess(preprocess)
    # Weights lie beside an OpenVINO file as .bin, and beside a large ONNX one as .onnx.data or .onnx_data.
    beside = [file.with_suffix(".bin")] if file.suffix == ".xml" else sorted(file.parent.glob(f"{file.name}?data"))
    files = [file, *(one for one in beside if one.is_file())]
    key = fingerprint(f"file:{file.name}", files, f"({RECIPE!r}, {_written(pixels)})")
    folder = export_once(key, lambda scratch: _write(name, file, pixels, scratch))
    export = ImageExport.read(folder)
    return ImageEncoder(name, key, export.dim, export.transform, folder, precision)


def _written(pixels: PixelSettings) -> str:
    """Write pixel settings as fingerprints have them; indexes keep fingerprints, so this never changes."""
    return f"Pixels({', '.join(f'{field.name}={getattr(pixels, field.name)!r}' for field in fields(pixels))})"


def parse_preprocess(text: str) -> PixelSettings:
    """Read the value of `--preprocess`.

    Args:
        text: `key=value,...`; the keys are the fields of `PixelSettings`, mean and std are one number or three, a/b/c.

    Raises:
        PhotoseekError: A key or a value is unknown, or they do not fit together.
    """
    given: dict[str, Any] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        key, _, value = (piece.strip() for piece in part.partition("="))
        if key not in WANTED:
            raise PhotoseekError(f"--preprocess: no key {key!r}; there are: {', '.join(WANTED)}")
        try:
            given[key] = _value(key, value)
        except ValueError:
            raise PhotoseekError(f"--preprocess: {key}={value} must be {WANTED[key]}") from None
    pixels = PixelSettings(**given)
    if pixels.mode == "crop" and pixels.size and pixels.resize < pixels.size:
        raise PhotoseekError(f"--preprocess: mode=crop needs resize={pixels.size} or more")
    return pixels


def _value(key: str, value: str) -> Any:
    """Read the value of one key; ValueError if it is not one."""
    if key == "output" and value:
        return value
    if key in ("mode", "filter", "order", "layout"):
        if value not in WANTED[key].split(" or "):
            raise ValueError
        return value
    if key in ("size", "resize"):
        if int(value) < 1:
            raise ValueError
        return int(value)
    numbers = tuple(float(one) for one in value.split("/"))
    if len(numbers) not in ((1,) if key == "scale" else (1, 3)) or not np.isfinite(numbers).all():
        raise ValueError
    if key != "mean" and 0 in numbers:
        raise ValueError
    return numbers[0] if key == "scale" else numbers


def _write(name: str, file: Path, pixels: PixelSettings, scratch: Path) -> None:
    """Read the model, wrap it, and keep it as model.xml: (n, size, size, 3) uint8 -> (n, dim) float32, unit rows."""
    import openvino

    try:
        model = openvino_core().read_model(file)
    except RuntimeError as error:
        raise PhotoseekError(f"{name}: OpenVINO cannot read it ({last_line(error)})") from None
    layout, size = _input(name, model, pixels)
    if pixels.mode == "crop" and pixels.resize < size:
        raise PhotoseekError(f"--preprocess: mode=crop needs resize={size} or more")
    transform = SquareTransform(size, pixels.mode, pixels.resize if pixels.mode == "crop" else 0, pixels.filter)
    try:
        wrapped = _wrap(name, model, pixels, layout, size)
        openvino.save_model(wrapped, scratch / MODEL, compress_to_fp16=False)
        alone = openvino_core().compile_model(wrapped, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        images = sample_photos(size)[CHECKED_PHOTOS]
        rows = np.concatenate([alone(image[None])[0].copy() for image in images])
    except RuntimeError as error:
        raise PhotoseekError(f"{name}: OpenVINO cannot run it ({last_line(error)})") from None
    try:
        together = alone(images)[0].shape
    except RuntimeError:
        together = None
    if together != rows.shape:
        raise PhotoseekError(f"{name}: works on one photo at a time; export it with a free batch size")
    check_export(name, (images,), rows, scratch)
    ImageExport(rows.shape[1], transform).write(scratch)


def _input(name: str, model: Any, pixels: PixelSettings) -> tuple[str, int]:
    """Return the layout and the side of the picture that the model's one input takes."""
    if len(model.inputs) != 1:
        raise PhotoseekError(f"{name}: has {len(model.inputs)} inputs; an image model has one")
    shape = [-1 if one.is_dynamic else one.get_length() for one in model.inputs[0].get_partial_shape()]
    layout = pixels.layout or ("nchw" if shape[1:2] == [3] else "nhwc" if shape[3:] == [3] else "")
    if len(shape) != 4 or not layout or shape[layout.index("c")] not in (3, -1):
        raise PhotoseekError(
            f"{name}: its input {tuple(shape)} is no batch of colour pictures (if it is: layout=nchw or layout=nhwc)"
        )
    sides = {shape[layout.index("h")], shape[layout.index("w")]} - {-1}
    if len(sides) > 1:
        raise PhotoseekError(f"{name}: takes pictures of {min(sides)} x {max(sides)}; only square ones are offered")
    if not sides | {pixels.size} - {0}:
        raise PhotoseekError(f"{name}: takes pictures of any size; say which with --preprocess size=224")
    size = pixels.size or sides.pop()
    if not sides <= {size}:
        raise PhotoseekError(f"{name}: takes pictures of {min(sides)} x {min(sides)}, not size={size}")
    return layout, size


def _wrap(name: str, model: Any, pixels: PixelSettings, layout: str, size: int) -> Any:
    """Put the preprocessing before the model, and the average over space and the normalisation behind it."""
    import openvino
    from openvino import opset13 as ops
    from openvino.preprocess import ColorFormat, PrePostProcessor

    picked = _output(name, model, pixels.output)
    side = {"n": -1, "h": size, "w": size, "c": 3}
    model = openvino.Model([picked], model.get_parameters(), "image model")
    model.reshape(openvino.PartialShape([side[axis] for axis in layout]))
    steps = PrePostProcessor(model)
    steps.input().tensor().set_element_type(openvino.Type.u8).set_layout(openvino.Layout("NHWC"))
    steps.input().tensor().set_color_format(ColorFormat.RGB)
    steps.input().model().set_layout(openvino.Layout(layout.upper()))
    work = steps.input().preprocess().convert_element_type(openvino.Type.f32)
    if pixels.order == "bgr":
        work.convert_color(ColorFormat.BGR)
    # Mean and std are named in the order of the model's own channels.
    work.scale(pixels.scale).mean(list(pixels.mean * (3 // len(pixels.mean)))).scale(
        list(pixels.std * (3 // len(pixels.std)))
    )
    model = steps.build()

    features = model.outputs[0].get_node().input_value(0)
    rank = features.get_partial_shape().rank
    dims = rank.get_length() if rank.is_static else 0
    vector = ops.convert(features, "f32")
    if dims == 4:
        vector = ops.reduce_mean(
            vector, ops.constant(np.array([1, 2] if layout == "nhwc" else [2, 3])), keep_dims=False
        )
    elif dims != 2:
        shape = features.get_partial_shape()
        raise PhotoseekError(
            f"{name}: its output {shape} is not one vector per photo; name another with --preprocess output=NAME"
        )
    unit = ops.normalize_l2(vector, ops.constant(np.array([1])), 1e-12, "max")
    return openvino.Model([unit], model.get_parameters(), "image encoder")


def _output(name: str, model: Any, wanted: str) -> Any:
    """Return the output port to use: the only one, or any tensor of the network by its name."""
    if not wanted:
        if len(model.outputs) == 1:
            return model.outputs[0].get_node().input_value(0)
        names = ", ".join(port.get_any_name() for port in model.outputs if port.get_names())
        raise PhotoseekError(
            f"{name}: has {len(model.outputs)} outputs; choose one with --preprocess output=NAME ({names})"
        )
    for node in model.get_ordered_ops():
        for port in node.outputs():
            if wanted in port.get_names() or (node.get_type_name() != "Result" and wanted == node.get_friendly_name()):
                return port.get_node().input_value(0) if node.get_type_name() == "Result" else port
    raise PhotoseekError(f"{name}: no tensor named {wanted!r} to take as its output")
