"""ICT-FaceKit light: a folder of OBJ files with one vertex order.

``generic_neutral_mesh.obj`` is the mean, ``identity000.obj`` and so on its shape components (one standard
deviation each), and ``vertex_indices.json`` lists the expressions, each in ``<name>.obj``. Centimetres,
axes as ours, no albedo. The parts are ranges of vertices (README of the model). The atlas coordinates lie
in several tiles (u = 0 to 9); they are packed into one square here, the face largest.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from facelume.errors import AssetError
from facelume.face_model.licensed.assemble import (
    STRENGTH,
    ModelParts,
    assemble,
    landmarks_at_vertices,
    outward,
)
from facelume.face_model.licensed.source import FaceModelSource
from facelume.face_model.model import FaceModel
from facelume.io.obj import read_obj_geometry, read_obj_vertices
from facelume.types import FacePart

_NEUTRAL, _INDEX = "generic_neutral_mesh.obj", "vertex_indices.json"
ICT = FaceModelSource(
    name="ict",
    summary="ICT-FaceKit light: 26,719 vertices, head with teeth, 80 identity, 53 expressions, no albedo",
    licence="MIT, USC Institute for Creative Technologies",
    url="https://github.com/ICT-VGL/ICT-FaceKit, folder FaceXModel",
    file_sets=((_NEUTRAL, _INDEX, "identity000.obj"),),
    further_files="*.obj",
)
_METRES_PER_CENTIMETRE = 0.01


@dataclass(frozen=True)
class IctLayout:
    """Which vertices belong to which part: half-open ranges.

    Attributes:
        num_vertices: All vertices.
        narrow_face: The face without ears, scalp and neck.
        mouth: Mouth socket, gums and tongue.
        upper_teeth: Upper teeth.
        lower_teeth: Lower teeth.
        left_eye: Left eyeball.
        right_eye: Right eyeball.
        accessories_from: First vertex of tear fluid, eye shadows and lashes, which are left out.
        landmarks68: Vertices of the iBUG points.
    """

    num_vertices: int
    narrow_face: tuple[int, int]
    mouth: tuple[tuple[int, int], ...]
    upper_teeth: tuple[int, int]
    lower_teeth: tuple[int, int]
    left_eye: tuple[int, int]
    right_eye: tuple[int, int]
    accessories_from: int
    landmarks68: tuple[int, ...]


_LANDMARKS68 = """
1278 1272 12 1834 243 781 2199 1447 966 3661 4390 3022 2484 4036 2253 3490 3496 268 493 1914 2044 1401
3615 4240 4114 2734 2509 978 4527 4942 4857 1140 2075 1147 4269 3360 1507 1542 1537 1528 1518 1511 3742
3751 3756 3721 3725 3732 5708 5695 2081 0 4275 6200 6213 6346 6461 5518 5957 5841 5702 5711 5533 6216 6207
6470 5517 5966
"""
OFFICIAL_LAYOUT = IctLayout(
    num_vertices=26_719,
    narrow_face=(0, 6_706),
    mouth=((11_248, 13_294), (14_062, 17_039)),
    upper_teeth=(17_039, 19_247),
    lower_teeth=(19_247, 21_451),
    left_eye=(21_451, 23_021),
    right_eye=(23_021, 24_591),
    accessories_from=24_591,
    landmarks68=tuple(int(vertex) for vertex in _LANDMARKS68.split()),
)
"""The published vertex ranges, and its 68 points with the jaw line on the rim of the face."""


def load_ict(
    folder: Path | None = None, *, num_identity: int = 80, layout: IctLayout = OFFICIAL_LAYOUT
) -> FaceModel:
    """Load ICT-FaceKit; expressions get ARKit's names (``_L`` and ``_R`` become ``Left`` and ``Right``).

    Args:
        folder: Folder with the files; ``$FACELUME_MODELS/ict`` if not given.
        num_identity: Components to keep, standard deviations.
        layout: Which vertices are which part.

    Raises:
        AssetError: If files are missing, damaged or do not fit together.
    """
    files = ICT.locate(folder)
    place = files[_NEUTRAL].parent
    neutral = read_obj_geometry(files[_NEUTRAL])
    if len(neutral.vertices) != layout.num_vertices or len(neutral.uv_triangles) != len(neutral.triangles):
        raise AssetError(
            f"{files[_NEUTRAL]} has {len(neutral.vertices)} vertices and {len(neutral.uv_triangles)} "
            f"triangles with atlas coordinates, not {layout.num_vertices} and {len(neutral.triangles)}: "
            "download it again"
        )
    names = _expression_names(files[_INDEX])
    identity_paths = [p for k in range(num_identity) if (p := place / f"identity{k:03d}.obj").is_file()]
    expression_paths = [place / f"{name}.obj" for name in names]
    absent = [p.name for p in expression_paths if not p.is_file()]
    if absent:
        raise AssetError(f"face model 'ict' lacks {', '.join(absent)} in {place}: download from {ICT.url}")
    kept = (neutral.triangles < layout.accessories_from).all(1)
    triangles, uv_triangles = neutral.triangles[kept], neutral.uv_triangles[kept]
    mean = neutral.vertices * _METRES_PER_CENTIMETRE
    if outward(mean, triangles) is not triangles:
        triangles, uv_triangles = triangles[:, ::-1].copy(), uv_triangles[:, ::-1].copy()
    front = _within(triangles, layout.narrow_face) | _within(triangles, layout.left_eye)
    front |= _within(triangles, layout.right_eye)
    eyes = [mean[slice(*side)] for side in (layout.left_eye, layout.right_eye)]
    return assemble(
        ICT,
        [files[_NEUTRAL], files[_INDEX], *identity_paths, *expression_paths],
        ModelParts(
            mean=mean,
            identity=_offsets(identity_paths, neutral.vertices),
            expression=_offsets(expression_paths, neutral.vertices),
            expression_names=tuple(_arkit_name(name) for name in names),
            expression_limits=(STRENGTH,) * len(names),
            eyes_middle=np.mean([(eye.min(0) + eye.max(0)) / 2 for eye in eyes], axis=0),
            faces=triangles,
            uvs=pack_tiles(neutral.uvs, uv_triangles, front),
            uv_faces=uv_triangles,
            face_part=_parts(triangles, layout),
            face_front=front,
            landmarks68=landmarks_at_vertices(np.array(layout.landmarks68), triangles, owner="ict"),
            colours=None,
        ),
    )


def pack_tiles(
    uvs: Float[np.ndarray, "T 2"], uv_faces: Int[np.ndarray, "F 3"], face_front: np.ndarray
) -> Float[np.ndarray, "T 2"]:
    """Bring atlas coordinates of several tiles into one square, and count v from the top.

    The tile with most of the face front fills a square at the top left; the others stand beside and below it.
    """
    tile_of_uv = np.floor(np.clip(uvs - 1e-6, 0, None)).astype(np.int64) @ (1, 1000)
    tile_of_face = tile_of_uv[uv_faces].max(1)
    tiles, counts = np.unique(tile_of_face[face_front], return_counts=True)
    main = tiles[counts.argmax()] if len(tiles) else tile_of_face[0]
    others = [t for t in np.unique(tile_of_face) if t != main]
    inner = (
        -(-(len(others) - 1) // 2) if others else 1
    )  # an n by n square leaves 2n + 1 cells of (n + 1) squared
    cells = max(inner, 1) + bool(others)
    packed = np.full_like(uvs, 0.5)
    for rank, tile in enumerate([main, *others]):
        own = tile_of_uv == tile
        inside = uvs[own] - (tile % 1000, tile // 1000)
        inside[:, 1] = 1 - inside[:, 1]
        if rank == 0:
            packed[own] = inside * (cells - bool(others)) / cells
        else:
            step = rank - 1
            column, row = (cells - 1, step) if step < cells else (step - cells, cells - 1)
            packed[own] = (inside + np.array([column, row])) / cells
    return packed.clip(0, 1)


def _offsets(paths: list[Path], neutral: Float[np.ndarray, "V 3"]) -> Float[np.ndarray, "K V 3"]:
    offsets = np.zeros((len(paths), *neutral.shape))
    for offset, path in zip(offsets, paths, strict=True):
        vertices = read_obj_vertices(path)
        if vertices.shape != neutral.shape:
            raise AssetError(
                f"{path} has {len(vertices)} vertices, the neutral mesh {len(neutral)}: download it again"
            )
        offset[:] = (vertices - neutral) * _METRES_PER_CENTIMETRE
    return offsets


def _expression_names(path: Path) -> list[str]:
    try:
        names = json.loads(path.read_text(encoding="utf-8"))["expressions"]
        return [str(name) for name in names]
    except (ValueError, KeyError, TypeError) as error:
        raise AssetError(f"{path} has no list of expressions ({error}): download it again") from error


def _arkit_name(name: str) -> str:
    for ending, side in (("_L", "Left"), ("_R", "Right")):
        if name.endswith(ending):
            return name.removesuffix(ending) + side
    return name


def _within(faces: Int[np.ndarray, "F 3"], limits: tuple[int, int]) -> np.ndarray:
    inside: np.ndarray = np.logical_and(faces >= limits[0], faces < limits[1])
    return np.all(inside, axis=1)


def _parts(faces: Int[np.ndarray, "F 3"], layout: IctLayout) -> np.ndarray:
    numbered = (
        (FacePart.LEFT_EYE, (layout.left_eye,)),
        (FacePart.RIGHT_EYE, (layout.right_eye,)),
        (FacePart.MOUTH_INTERIOR, layout.mouth),
        (FacePart.UPPER_TEETH, (layout.upper_teeth,)),
        (FacePart.LOWER_TEETH, (layout.lower_teeth,)),
    )
    parts = np.full(len(faces), FacePart.SKIN, np.uint8)
    for number, ranges in numbered:
        for limits in ranges:
            parts[_within(faces, limits)] = number
    return parts
