"""A picture in, its class and an overlay out, by a file of `payattention export`; no PyTorch.

ORT_DISABLE_TELEMETRY=1 python examples/serve_onnx.py model.onnx cat.jpg"""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image, ImageOps


def seen_size(picture: Image.Image, given: dict) -> tuple[int, ...]:
    """Width and height as the network sees it: in the picture's proportions, or the only size that it takes."""
    (height, width), step = given["size"], given["step"]
    scale = height / min(picture.size)
    sides = (max(-(-given["least"] // step), round(side * scale / step)) * step for side in picture.size if step)
    return tuple(sides) or (width, height)


def main(model: str, picture: str) -> None:
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    told = json.loads(session.get_modelmeta().custom_metadata_map["payattention"])
    image = ImageOps.exif_transpose(Image.open(picture)).convert("RGB")
    seen = image.convert("RGB" if told["input"]["channels"] == 3 else "L")
    seen = np.asarray(seen.resize(seen_size(image, told["input"]), Image.Resampling.BICUBIC), np.float32) / 255
    pixels = seen.reshape(1, *seen.shape[:2], -1).transpose(0, 3, 1, 2)  # (1, channels, height, width), 0 ... 1
    logits, *maps = session.run(None, {"images": pixels})  # a classifier that was wrapped as it is has no maps
    scores = np.exp((logits[0] - logits[0].max()) / told["temperature"])
    print(f"{told['classes'][scores.argmax()]}: {scores.max() / scores.sum():.1%}")
    for heat in maps[-1:]:  # all levels as one, (1, h, w)
        heat = (heat[0] - heat.min()) / max(heat.max() - heat.min(), 1e-12)  # 0 ... 1
        light = Image.fromarray((255 * heat).astype(np.uint8)).resize(image.size, Image.Resampling.BICUBIC)
        Image.composite(image, image.point(lambda value: value // 3), light).save(f"{Path(picture).stem}.overlay.png")


if __name__ == "__main__":
    main(*sys.argv[1:])
