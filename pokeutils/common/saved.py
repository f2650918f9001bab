"""Loading a saved network without trusting its file, and its copy in another precision.

A `.keras` file is a zip of two JSON files and one HDF5 file. Its JSON names the Python
classes to build, with sizes to reserve: both are looked at before Keras does.
"""

import contextlib
import importlib
import io
import json
import math
import re
import zipfile

import keras
import numpy as np

from pokeutils.common import env, files

MEMBERS = {"metadata.json": 2**16, "config.json": 2**22, "model.weights.h5": 2**29}
LARGEST = 2**24  # numbers that a layer makes of one picture; 512 px of 64 channels
MODULES = (None, "keras", "keras.layers", "keras.initializers", "pokeutils.layers")
FUNCTIONAL = ("keras.src.models.functional", "Functional")


def load_generator(path):
    """Loads a `generator.keras`, latents (n, latent_dim) -> pictures (n, size, size, 3
    or 4) in [-1, 1]; no code from the file is run. Raises FileNotFoundError, or
    ValueError with the reason for a file that is damaged, hostile or no generator."""
    return load_network(path, "a generator", _check_shapes)


def load_network(path, kind, check):
    """Loads any network of this project in the same way; `check(model)` raises
    ValueError unless it is of the `kind` wanted. Raises what `load_generator` does."""
    try:
        weights = _check(path)
        importlib.import_module("pokeutils.layers")  # registers what a file may ask for
        with _at_most(weights):
            model = keras.models.load_model(path, compile=False, safe_mode=True)
        _check_layers(model)
        model.trainable = True  # averaged ones were saved as they are kept: frozen
        check(model)
    except FileNotFoundError:
        raise
    except Exception as error:  # Keras and HDF5 raise nearly every kind there is
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ValueError(
            f"{path} cannot be used as {kind}: {reason} Expected the file that "
            "training writes; copy it again or train anew."
        ) from None
    return model


def _check(path):
    """Returns how many numbers the weights are, of a file that may be what it says."""
    with zipfile.ZipFile(path) as archive:
        infos = {info.filename: info for info in archive.infolist()}
        if infos.keys() != MEMBERS.keys() or len(archive.infolist()) != len(MEMBERS):
            raise ValueError(f"it holds {sorted(infos)[:5]}, not {sorted(MEMBERS)}.")
        for name, info in infos.items():
            packed = info.compress_type != zipfile.ZIP_STORED
            if packed or info.file_size > MEMBERS[name]:
                raise ValueError(f"its {name} is packed or too large.")
        config = json.loads(archive.read("config.json"))
        largest, count = _sides(archive.read("model.weights.h5"))
    _walk(config, max(largest, 4096))
    return count


@contextlib.contextmanager
def _at_most(count):
    """While a network is built, refuses more weights than the file has numbers. Each
    size of a layer may be small, and their product larger than any memory."""
    add = keras.layers.Layer.add_weight

    def add_weight(layer, shape=(), *more, **options):
        nonlocal count
        count -= math.prod(shape or ())
        if count < 0:
            raise ValueError("it asks for more weights than are in it.")
        return add(layer, shape, *more, **options)

    keras.layers.Layer.add_weight = add_weight
    try:
        yield
    finally:
        keras.layers.Layer.add_weight = add


def _check_layers(model):
    """Refuses a network whose pictures would grow beyond the memory on their way."""
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            _check_layers(layer)
        for output in keras.tree.flatten(layer.output):
            if math.prod(side or 1 for side in output.shape[1:]) > LARGEST:
                raise ValueError(f"its {layer.name} makes {output.shape[1:]} numbers.")


def _walk(node, limit):
    """Refuses classes from elsewhere, and numbers that no weight of the file has."""
    if isinstance(node, dict):
        name, module = node.get("class_name"), node.get("module")
        if name and (module, name) != FUNCTIONAL:
            known = module in MODULES and (module or name == "__keras_tensor__")
            if not known or "Lambda" in name:
                raise ValueError(f"it asks for {module}.{name}.")
        # Keras numbers shared objects by their address.
        node = [value for key, value in node.items() if key != "shared_object_id"]
    if isinstance(node, list):
        for value in node:
            _walk(value, limit)
    elif isinstance(node, (int, float)) and not abs(node) <= limit:
        raise ValueError(f"it asks for a layer of {node}.")


def _sides(content):
    """The largest dimension of any weight in an HDF5 file, all of them really there,
    and how many numbers they are together."""
    import h5py

    sides, sizes = [0], []

    def look(name, item):
        if isinstance(item, h5py.Dataset):
            if item.external or item.id.get_storage_size() < item.nbytes:
                raise ValueError(f"its weight {name} is not in the file.")
            sides.append(max(item.shape, default=0))
            sizes.append(item.size)

    with h5py.File(io.BytesIO(content), "r") as file:
        file.visititems(look)
    return max(sides), sum(sizes)


def _check_shapes(model):
    inputs, outputs = model.input_shape, model.output_shape
    if len(inputs) != 2 or len(outputs) != 4 or outputs[-1] not in (3, 4):
        raise ValueError(
            f"it turns {inputs} into {outputs}, not latents into pictures."
        )


def in_precision(network, dtype):
    """Returns a trainable copy of a Keras network that stores and computes in `dtype`:
    "float32" or "float16". Statistics of batch norms stay float32."""
    config = json.dumps(network.get_config())
    config = re.sub(r'"(mixed_)?(bfloat16|float16|float32)"', f'"{dtype}"', config)
    copy = network.__class__.from_config(json.loads(config))
    copy.trainable = True
    copy.set_weights(network.get_weights())
    return copy


OWNERS = (
    "The weights were fitted to pictures of Pokémon, which belong to Nintendo, "
    "Creatures Inc. and GAME FREAK inc.: no licence for them is given or implied here "
    "(see NOTICE). For study and play, not for sale."
)


FLAGSHIP = "hybrid64"


def folder():
    """Where the generators are: outputs/pretrained of the repository itself, however
    the folder for new outputs is set."""
    return env.ROOT / "outputs" / "pretrained"


def names():
    """Returns the names that `pretrained` knows, sorted: the generators'."""
    stems = [path.stem for path in folder().glob("*.keras")]
    return sorted(name for name in stems if "kind" not in card(name))


def pretrained(name=FLAGSHIP):
    """Returns a trained generator: latents (n, latent_dim) from N(0, 1) -> pictures (n,
    size, size, 4), premultiplied RGBA in [-1, 1]. Raises ValueError for an unknown
    name, or a file that is damaged."""
    if name not in names():
        there = f"There is {', '.join(names()) or 'none'}."
        raise ValueError(f"No trained generator {name!r} in {folder()}. {there}")
    return in_precision(load_generator(verified(name)), "float32")


def warm(model, name=FLAGSHIP):
    """Gives a new GAN the weights of a pretrained generator, which may be unfinished,
    and of the discriminators that it was trained against where they are there too.

    Layers whose names begin with "more_" (`models.pyramid_generator`) keep their own if
    the pretrained one has none. Raises ValueError for networks that do not fit.
    """
    trained = in_precision(load_generator(verified(name)), "float32")
    old, new = (_weighty(network) for network in (trained, model.generator))
    if len(old) < len(new):
        new = [layer for layer in new if not layer.name.startswith("more_")]
    shapes = [[[w.shape for w in x.weights] for x in side] for side in (old, new)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"The pretrained {name} has other layers than this generator.")
    for source, target in zip(old, new, strict=True):
        target.set_weights(source.get_weights())
    model.averaged.set_weights(model.generator.get_weights())
    if "discriminators" in card(name):
        _load_discriminators(model, verified(name, "discriminators"))


def _weighty(network):
    return [layer for layer in network.layers if layer.weights]


def _load_discriminators(model, path):
    variables = discriminators(model)
    with np.load(path, allow_pickle=False) as arrays:
        shapes = {name: tuple(variable.shape) for name, variable in variables.items()}
        # A GAN may leave the second discriminator out.
        names = [n for n in arrays.files if hasattr(model, n.partition("/")[0])]
        if {name: arrays[name].shape for name in names} != shapes:
            raise ValueError(f"{path} is of other discriminators than these.")
        for name, variable in variables.items():
            variable.assign(arrays[name].astype("float32"))


def discriminators(model):
    """{name: variable} of the trained layers of a GAN's discriminators:
    "discriminator/000", ..., and "second/000", ... of a `hybrid.HybridGAN`."""
    found = {}
    for kind in ("discriminator", "second"):
        network = getattr(model, kind, None)
        trained = [x for x in network.layers if x.trainable] if network else []
        variables = [v for layer in trained for v in layer.variables]
        found |= {f"{kind}/{i:03d}": v for i, v in enumerate(variables)}
    return found


def verified(name, kind=None):
    """Returns the path of a network of any kind, or of its "discriminators". Raises
    ValueError unless it is the file that its card describes."""
    path = folder() / (f"{name}-{kind}.npz" if kind else f"{name}.keras")
    facts = card(name)[kind] if kind else card(name)
    if not path.exists() or files.sha256(path) != facts["sha256"]:
        raise ValueError(f"{path} is not the file that its card describes; fetch it.")
    return path


def card(name=FLAGSHIP):
    """Returns what is known about a network, as a dict: recipe, data, images seen,
    hardware, scores, flaws; "kind", unless it is a finished generator."""
    return json.loads((folder() / f"{name}.json").read_text("utf-8"))
