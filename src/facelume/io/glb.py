"""The rigged face as binary glTF 2.0: three primitives, sparse named morph targets, embedded texture."""

from __future__ import annotations

import io
from dataclasses import dataclass, field

import numpy as np
import pygltflib as gltf
from jaxtyping import Float, Int, UInt8
from PIL import Image

from facelume.types import EYE_PARTS, MOUTH_PARTS, FacePart, Mesh

MAX_BYTES = 8_000_000
_STILL_M = 2e-5  # a vertex that moves less than 0.02 mm stays where it is
_STILL_NORMAL = 0.02
_MATERIALS = (("skin", (FacePart.SKIN,), 0.55), ("eyes", EYE_PARTS, 0.25), ("mouth", MOUTH_PARTS, 0.45))


@dataclass(frozen=True)
class RiggedFace:
    """What a GLB shows.

    Attributes:
        neutral: Face without expression, metres, model axes (+Y up, +Z forward), which are glTF's.
        normals: Unit normal of each vertex of the neutral face.
        face_part: :class:`~facelume.types.FacePart` of each triangle.
        target_names: Name of each morph target (ARKit's).
        target_deltas: Displacement of each vertex at weight 1, metres.
        target_normals: Unit normal of each vertex at weight 1.
        weights: Default weight of each target, in [0, 1]: the expression on the photo.
        albedo_srgb: Texture, sRGB-encoded, first row at v = 0.
    """

    neutral: Mesh
    normals: Float[np.ndarray, "V 3"]
    face_part: Int[np.ndarray, " F"]
    target_names: tuple[str, ...]
    target_deltas: Float[np.ndarray, "K V 3"]
    target_normals: Float[np.ndarray, "K V 3"]
    weights: Float[np.ndarray, " K"]
    albedo_srgb: UInt8[np.ndarray, "S S 3"]


@dataclass
class _Buffer:
    """Collects binary data, buffer views and accessors of one file."""

    data: bytearray = field(default_factory=bytearray)
    views: list[gltf.BufferView] = field(default_factory=list)
    accessors: list[gltf.Accessor] = field(default_factory=list)

    def add_view(self, data: bytes, target: int | None = None) -> int:
        self.data.extend(b"\0" * (-len(self.data) % 4))
        self.views.append(
            gltf.BufferView(buffer=0, byteOffset=len(self.data), byteLength=len(data), target=target)
        )
        self.data.extend(data)
        return len(self.views) - 1

    def add_accessor(self, accessor: gltf.Accessor) -> int:
        self.accessors.append(accessor)
        return len(self.accessors) - 1

    def add_dense(self, values: Float[np.ndarray, "N C"], *, with_bounds: bool = False) -> int:
        values = np.ascontiguousarray(values, np.float32)
        accessor = gltf.Accessor(
            bufferView=self.add_view(values.tobytes(), gltf.ARRAY_BUFFER),
            componentType=gltf.FLOAT,
            count=len(values),
            type=f"VEC{values.shape[1]}",
        )
        if with_bounds:
            accessor.min, accessor.max = _bounds(values)
        return self.add_accessor(accessor)

    def add_indices(self, faces: Int[np.ndarray, "F 3"], num_vertices: int) -> int:
        dtype, component = _index_type(num_vertices)
        view = self.add_view(faces.astype(dtype).tobytes(), gltf.ELEMENT_ARRAY_BUFFER)
        return self.add_accessor(
            gltf.Accessor(bufferView=view, componentType=component, count=faces.size, type="SCALAR")
        )

    def add_sparse(self, values: Float[np.ndarray, "N 3"], still: float, *, with_bounds: bool = False) -> int:
        """Stores only the rows longer than ``still``; the others read as zero."""
        values = np.ascontiguousarray(values, np.float32)
        moved = np.flatnonzero(np.linalg.norm(values, axis=1) > still)
        accessor = gltf.Accessor(byteOffset=None, componentType=gltf.FLOAT, count=len(values), type="VEC3")
        if len(moved):
            dtype, component = _index_type(len(values))
            accessor.sparse = gltf.Sparse(
                count=len(moved),
                indices=gltf.AccessorSparseIndices(
                    bufferView=self.add_view(moved.astype(dtype).tobytes()), componentType=component
                ),
                values=gltf.AccessorSparseValues(bufferView=self.add_view(values[moved].tobytes())),
            )
        if with_bounds:
            kept = np.zeros_like(values)
            kept[moved] = values[moved]
            accessor.min, accessor.max = _bounds(kept)
        return self.add_accessor(accessor)


def encode_glb(face: RiggedFace, *, max_bytes: int = MAX_BYTES) -> bytes:
    """Encodes a face as GLB.

    The richest variant that fits ``max_bytes`` is taken: PNG texture with normal deltas, JPEG texture with
    normal deltas, JPEG texture without normal deltas (viewers then keep the neutral normals).

    Args:
        face: The face; its texture is embedded as the base colour (sRGB, as glTF wants).
        max_bytes: Size aimed at; a face that fits in no variant is written in the smallest one.

    Returns:
        The bytes of the file.
    """
    result = b""
    for kind, with_normals in (("PNG", True), ("JPEG", True), ("JPEG", False)):
        picture = _encode_picture(face.albedo_srgb, kind)
        result = _encode(face, picture, f"image/{kind.lower()}", with_target_normals=with_normals)
        if len(result) <= max_bytes:
            break
    return result


def _encode(face: RiggedFace, picture: bytes, mime: str, *, with_target_normals: bool) -> bytes:
    buffer = _Buffer()
    materials: list[gltf.Material] = []
    primitives: list[gltf.Primitive] = []
    for name, parts, roughness in _MATERIALS:
        chosen = np.isin(face.face_part, parts)
        if not chosen.any():
            continue
        primitives.append(
            _primitive(buffer, face, chosen, len(materials), with_target_normals=with_target_normals)
        )
        materials.append(
            gltf.Material(
                name=name,
                pbrMetallicRoughness=gltf.PbrMetallicRoughness(
                    baseColorTexture=gltf.TextureInfo(index=0), metallicFactor=0.0, roughnessFactor=roughness
                ),
                doubleSided=False,
            )
        )
    image_view = buffer.add_view(picture)
    mesh = gltf.Mesh(
        name="face",
        primitives=primitives,
        weights=[float(w) for w in face.weights],
        extras={"targetNames": list(face.target_names)},
    )
    document = gltf.GLTF2(
        asset=gltf.Asset(version="2.0", generator="facelume"),
        scene=0,
        scenes=[gltf.Scene(nodes=[0])],
        nodes=[gltf.Node(name="face", mesh=0)],
        meshes=[mesh],
        materials=materials,
        textures=[gltf.Texture(sampler=0, source=0)],
        samplers=[
            gltf.Sampler(
                magFilter=gltf.LINEAR,
                minFilter=gltf.LINEAR_MIPMAP_LINEAR,
                wrapS=gltf.CLAMP_TO_EDGE,
                wrapT=gltf.CLAMP_TO_EDGE,
            )
        ],
        images=[gltf.Image(name="albedo", bufferView=image_view, mimeType=mime)],
        bufferViews=buffer.views,
        accessors=buffer.accessors,
        buffers=[gltf.Buffer(byteLength=len(buffer.data))],
    )
    document.set_binary_blob(bytes(buffer.data))
    return b"".join(document.save_to_bytes())


def _primitive(
    buffer: _Buffer,
    face: RiggedFace,
    chosen: np.ndarray,
    material: int,
    *,
    with_target_normals: bool,
) -> gltf.Primitive:
    """One part of the face with its own vertices: one per pair of position and atlas coordinate."""
    corners = np.stack([face.neutral.faces[chosen].ravel(), face.neutral.uv_faces[chosen].ravel()], axis=1)
    pairs, corner_to_pair = np.unique(corners, axis=0, return_inverse=True)
    rows, uv_rows = pairs[:, 0], pairs[:, 1]
    faces = corner_to_pair.reshape(-1, 3)
    attributes = gltf.Attributes(
        POSITION=buffer.add_dense(face.neutral.vertices[rows], with_bounds=True),
        NORMAL=buffer.add_dense(_unit(face.normals[rows])),
        TEXCOORD_0=buffer.add_dense(face.neutral.uvs[uv_rows]),
    )
    targets: list[dict[str, int]] = []
    for deltas, target_normals in zip(face.target_deltas, face.target_normals, strict=True):
        target = {"POSITION": buffer.add_sparse(deltas[rows], _STILL_M, with_bounds=True)}
        if with_target_normals:
            turned = _unit(target_normals[rows]) - _unit(face.normals[rows])
            target["NORMAL"] = buffer.add_sparse(turned, _STILL_NORMAL)
        targets.append(target)
    return gltf.Primitive(
        attributes=attributes,
        indices=buffer.add_indices(faces, len(pairs)),
        material=material,
        mode=gltf.TRIANGLES,
        targets=targets,
    )


def _unit(vectors: Float[np.ndarray, "N 3"]) -> Float[np.ndarray, "N 3"]:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    forward = np.array([0.0, 0.0, 1.0], vectors.dtype)
    return np.where(length > 1e-6, vectors / np.maximum(length, 1e-6), forward)


def _bounds(values: Float[np.ndarray, "N C"]) -> tuple[list[float], list[float]]:
    return values.min(axis=0).tolist(), values.max(axis=0).tolist()


def _index_type(count: int) -> tuple[type[np.unsignedinteger], int]:
    return (np.uint16, gltf.UNSIGNED_SHORT) if count < 65535 else (np.uint32, gltf.UNSIGNED_INT)


def _encode_picture(pixels: UInt8[np.ndarray, "S S 3"], kind: str) -> bytes:
    stream = io.BytesIO()
    if kind == "PNG":
        Image.fromarray(pixels).save(stream, "PNG", compress_level=6)
    else:
        Image.fromarray(pixels).save(stream, "JPEG", quality=94, subsampling=0)
    return stream.getvalue()
