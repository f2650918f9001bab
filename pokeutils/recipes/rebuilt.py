"""The systems of the five seeds, one function each: what its text or code pins, what
had to be chosen, and what its choices cost.

Each function returns the fields of a `recipe.Recipe`; its name is the recipe's name
and its arguments are what `catalogue.get(name, ...)` takes. A seed's choices are kept
even where they are poor, because comparing them is the point. What is the same for all:
pictures are premultiplied and cut to the creature; the generator is judged by the
discriminator as it is after its update; there is neither an average of the generator
nor augmentation of what the discriminator sees.
"""

# Of the pictures of seed 003, in [0, 1]: means and standard deviations of R, G, B.
SPRITE_STATISTICS = ((0.4819, 0.4324, 0.3845), (0.2604, 0.2520, 0.2539))


def rgba80():
    """Seed 000: the DCGAN of the TensorFlow tutorial at 80 px, in RGBA.

    Pinned (code): both networks, half the cross-entropy, Adam 1e-4 with Keras' betas,
    six batches of 128 an epoch for 700 epochs. Chosen: nothing; but alpha is
    premultiplied here, and the seed judged the generator by the old discriminator.
    Costs: batches are made once and never shuffled anew, so each picture is always met
    with the same others, in one of its two mirror images, and what did not fit the last
    batch is never seen; the generator has 44 times the discriminator's weights; 4,200
    steps are few; transposed 5x5 convolutions of stride 2 leave a checkerboard.
    """
    return dict(
        size=80,
        images=700 * 6 * 128,
        generator="tutorial_generator",
        discriminator="tutorial_discriminator",
        batch=128,
        loss="half_bce",
        learning_rates=(1e-4, 1e-4),
        betas=(0.9, 0.999),
        reshuffle=False,
        epochs=700,
        milestones=(1, 250, 500, 700),
    )


def keras120(size=120, rate=1e-4):
    """Seed 001: three transposed blocks to 120 px, on black.

    Pinned (text): three blocks of transposed convolution, batch norm and leaky ReLU
    from 57,600 = 15 * 15 * 256 numbers; two of convolution, leaky ReLU and dropout;
    721 pictures; it blew up after about 20,000 epochs. Pinned (its pictures): alpha was
    dropped, which leaves black. Chosen, as in the Keras examples it followed: 5x5
    kernels, 128-64-32 channels and a last convolution to RGB, 100 latents, dropout 0.3,
    cross-entropy, Adam 1e-4, batch 32. Costs: on black, dark outlines vanish; nothing
    holds the discriminator back, so it wins, and the longer the run, the more surely.

    rate: of both optimisers. A hundred times the seed's shows the end of a long run in
    a few minutes. size: a multiple of 8.
    """
    return dict(
        name=f"keras{size}",
        size=size,
        images=20_000 * 721,
        generator="block_generator",
        discriminator="tutorial_discriminator",
        channels=3,
        background=0,
        batch=32,
        learning_rates=(rate, rate),
        betas=(0.9, 0.999),
        mirror=False,
        epochs=20_000,
    )


def augmented64(kernel=4, width=128, size=64):
    """Seed 002: three times the pictures, by mirroring and by colour jitter.

    Pinned (code of the notebook behind it): the networks, with batch norm in every
    layer, 16 latents, targets drawn from U(0, 0.1) for reals and U(0.9, 1) for fakes
    (inverted), Adam 0.00275 with betas (0.5, 0.9), batch 8, 50 epochs of 3 x 819.
    Chosen: a jittered copy is made once, where the seed drew a new one at each access.
    Costs: the jitter turns white grounds grey, and the generator learns grey grounds;
    ten times the usual rate with batches of 8 makes the game restless; 16 latents are
    few.

    kernel (px), width (channels) and size (128, ...): what the seed wanted to enlarge.
    """
    options = (("kernel", kernel), ("width", width))
    return dict(
        name=f"augmented{size}",
        size=size,
        images=50 * 3 * 819,
        generator="sprite_generator",
        generator_options=(("latent_dim", 16), *options),
        discriminator="sprite_discriminator",
        discriminator_options=options,
        channels=3,
        copies=("mirrored", "jittered"),
        mirror=False,
        batch=8,
        loss="inverted_noisy",
        learning_rates=(0.00275, 0.00275),
        betas=(0.5, 0.9),
        epochs=50,
    )


def sprites64(normalise=False, as_written=False):
    """Seed 003: two small networks, and three handicaps for the discriminator.

    Pinned (code): both networks; real target 0.2, fake target 1, the generator's 0;
    the discriminator's update is skipped while its mean D(fake) is at least 0.95; new
    fakes for the generator; 500 epochs of just under 2,000 sprites. Chosen: Adam 2e-4
    with betas (0.5, 0.999), batch 64, white ground. Costs: a real target of 0.2 asks
    for doubt where there is none; batch norm at the discriminator's entrance shows it
    each batch as a whole, and it wins all the same.

    normalise: pictures in units of their mean and spread, as the seed has them. Its
    tanh then ends at the mean plus or minus one spread: neither black nor white, whence
    the watercolours. This is refused, unless `as_written` asks for it.
    """
    statistics = SPRITE_STATISTICS if normalise or as_written else None
    options = (("statistics", statistics),) if statistics else ()
    return dict(
        name="sprites64_as_written" if as_written else "sprites64",
        source="sprites",
        size=64,
        images=500 * 31 * 64,
        generator="sprite_generator",
        generator_options=options,
        discriminator="sprite_discriminator",
        discriminator_options=options,
        channels=3,
        mirror=False,
        loss="inverted_0.2",
        gate=0.95,
        two_phase=True,
        betas=(0.5, 0.999),
        as_written=as_written,
        epochs=500,
        milestones=(6, 12, 20, 50, 250, 500),
    )


def pokegan_conv():
    """Seed 004: a DCGAN on recoloured pictures.

    Pinned (text): every picture in more colours ("Pikachu blue, red"), cross-entropy
    with 0.9 for reals, two phases a step. Pinned (its pictures): 100 px or more, white
    ground. Chosen: the tutorial's networks at half the width, because the author speaks
    of a simple model, hues turned by 180 and -60 degrees (which makes Pikachu blue, and
    red), Adam 2e-4 with beta 0.5, batch 32, and half a million images, about as long as
    the others. Costs: a creature's colours no longer say anything about its kind.
    """
    return dict(
        size=100,
        images=500_000,
        generator="tutorial_generator",
        generator_options=(("widths", (128, 64, 32)),),
        discriminator="tutorial_discriminator",
        discriminator_options=(("widths", (32, 64)),),
        channels=3,
        copies=(180, -60),
        mirror=False,
        batch=32,
        loss="real_0.9",
        two_phase=True,
        betas=(0.5, 0.999),
    )


def pokegan_dense():
    """Seed 004 without convolutions, on the same data with the same loss.

    Chosen: 256-512-1024 and 512-256 units. The seed found better silhouettes and less
    connected colours than with convolutions. Costs: 31 million weights, each of which
    knows one pixel; nothing that is learned in one place is known in another.
    """
    return dict(
        pokegan_conv(),
        generator="dense_generator",
        generator_options=(),
        discriminator="dense_discriminator",
        discriminator_options=(),
    )


SYSTEMS = {
    system.__name__: system
    for system in (
        rgba80,
        keras120,
        augmented64,
        sprites64,
        pokegan_conv,
        pokegan_dense,
    )
}
