"""The networks of both cases in plain Keras layers, as a Keras user writes them; the
last ones in float32, as mixed precision wants it."""

from keras import Input, Sequential, layers


def networks(case):
    """Returns (generator, discriminator), both `Sequential`; logits at the end."""
    make = sprite_networks if case["name"] == "sprites64" else tutorial_networks
    return make(case)


def sprite_networks(case):
    """Seed 003: four-pixel kernels, batch norm in every layer."""
    doublings = (case["size"] // 4).bit_length() - 1
    width = case["generator_widths"]
    generator = Sequential([Input((case["latent_dim"],))])
    generator.add(layers.Reshape((1, 1, case["latent_dim"])))
    generator.add(layers.Conv2DTranspose(width, 4, use_bias=False))
    for doubling in range(1, doublings + 1):
        generator.add(layers.BatchNormalization(momentum=0.9, epsilon=1e-5))
        generator.add(layers.ReLU())
        last, before = doubling == doublings, doubling == doublings - 1
        filters = case["channels"] if last else width // 2 if before else width
        generator.add(
            layers.Conv2DTranspose(filters, 4, 2, padding="same", use_bias=False)
        )
    generator.add(layers.Activation("tanh", dtype="float32"))

    width = case["discriminator_widths"]
    discriminator = Sequential([Input((case["size"],) * 2 + (case["channels"],))])
    for halving in range(doublings):
        filters = width if halving else width // 2
        discriminator.add(layers.Conv2D(filters, 4, 2, padding="same", use_bias=False))
        discriminator.add(layers.BatchNormalization(momentum=0.9, epsilon=1e-5))
        discriminator.add(layers.LeakyReLU(0.2))
    discriminator.add(layers.Flatten())
    discriminator.add(layers.Dense(1, dtype="float32"))
    return generator, discriminator


def tutorial_networks(case):
    """Seed 000: the TensorFlow tutorial's DCGAN with five-pixel kernels."""
    side, widths = case["size"] // 4, case["generator_widths"]
    generator = Sequential([Input((case["latent_dim"],))])
    generator.add(layers.Dense(side * side * widths[0], use_bias=False))
    generator.add(layers.BatchNormalization())
    generator.add(layers.LeakyReLU(0.3))
    generator.add(layers.Reshape((side, side, widths[0])))
    for width, stride in zip(widths[1:], (1, 2), strict=True):
        generator.add(
            layers.Conv2DTranspose(width, 5, stride, padding="same", use_bias=False)
        )
        generator.add(layers.BatchNormalization())
        generator.add(layers.LeakyReLU(0.3))
    generator.add(
        layers.Conv2DTranspose(case["channels"], 5, 2, padding="same", use_bias=False)
    )
    generator.add(layers.Activation("tanh", dtype="float32"))

    discriminator = Sequential([Input((case["size"],) * 2 + (case["channels"],))])
    for width in case["discriminator_widths"]:
        discriminator.add(layers.Conv2D(width, 5, 2, padding="same"))
        discriminator.add(layers.LeakyReLU(0.3))
        discriminator.add(layers.Dropout(0.3))
    discriminator.add(layers.Flatten())
    discriminator.add(layers.Dense(1, dtype="float32"))
    return generator, discriminator


def batches(case, pictures):
    """Returns an endless tf.data.Dataset of shuffled float32 batches in [-1, 1], as in
    the tutorial: the whole set as floats in memory."""
    import tensorflow as tf

    floats = pictures.astype("float32") / 127.5 - 1.0
    shuffled = tf.data.Dataset.from_tensor_slices(floats).shuffle(len(floats))
    return shuffled.batch(case["batch"], drop_remainder=True).repeat()


def arrays(generator, discriminator):
    """The trainable weights of both networks, as lists of NumPy arrays."""
    return [
        [weight.numpy() for weight in network.trainable_variables]
        for network in (generator, discriminator)
    ]
