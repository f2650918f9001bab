"""The few layers that Keras lacks: a fused batch norm, a minibatch standard
deviation, modulation by the latent, latents of unit length or with types, a palette,
a convolution with a spectral norm."""

import keras
import numpy as np
from keras import layers, ops

register = keras.saving.register_keras_serializable(package="pokeutils")


@register
class FusedBatchNorm(layers.Layer):
    """Batch normalisation (Ioffe & Szegedy 2015) in one kernel, with its activation.

    Keras 3 computes it from separate moments on TensorFlow, which reads the maps more
    often: a step takes up to 1.8 times as long (benchmarks/README.md). Statistics,
    scale and offset stay float32. Input and output: (n, h, w, c) or (n, c).
    """

    def __init__(self, activation=None, momentum=0.9, epsilon=1e-5, **kwargs):
        super().__init__(**kwargs)
        self.activation = keras.activations.get(activation)
        self.momentum = momentum
        self.epsilon = epsilon

    def build(self, input_shape):
        def weight(name, initializer, trainable):
            return self.add_weight(
                shape=(input_shape[-1],),
                dtype="float32",
                autocast=False,
                initializer=initializer,
                trainable=trainable,
                name=name,
            )

        self.gamma = weight("gamma", "ones", True)
        self.beta = weight("beta", "zeros", True)
        self.moving_mean = weight("moving_mean", "zeros", False)
        self.moving_variance = weight("moving_variance", "ones", False)

    def call(self, x, training=False):
        flat = len(x.shape) == 2
        if flat:
            x = x[:, None, None, :]
        if training:
            x, mean, variance = _normalise_batch(x, self.gamma, self.beta, self.epsilon)
            keep = self.momentum
            self.moving_mean.assign(keep * self.moving_mean + (1 - keep) * mean)
            self.moving_variance.assign(
                keep * self.moving_variance + (1 - keep) * variance
            )
        else:
            scale = self.gamma * ops.rsqrt(self.moving_variance + self.epsilon)
            shift = self.beta - self.moving_mean * scale
            x = x * ops.cast(scale, x.dtype) + ops.cast(shift, x.dtype)
        return self.activation(x[:, 0, 0, :] if flat else x)

    def get_config(self):
        return {
            **super().get_config(),
            "activation": keras.activations.serialize(self.activation),
            "momentum": self.momentum,
            "epsilon": self.epsilon,
        }


def _normalise_batch(x, gamma, beta, epsilon):
    """x: (n, h, w, c). Returns x normalised, and the batch's mean and variance (c,).

    The variance returned is the unbiased one, on every backend.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        # oneDNN has a slow kernel for such channels in bfloat16: three times as slow.
        odd = x.dtype == "bfloat16" and x.shape[-1] % 16
        y, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=ops.cast(x, "float32") if odd else x,
            scale=gamma.value,
            offset=beta.value,
            mean=[],
            variance=[],
            epsilon=epsilon,
            is_training=True,
        )
        return ops.cast(y, x.dtype), mean, variance
    mean, variance = ops.moments(ops.cast(x, "float32"), axes=(0, 1, 2))
    scale = gamma * ops.rsqrt(variance + epsilon)
    shift = beta - mean * scale
    count = x.shape[0] * x.shape[1] * x.shape[2]
    variance = variance * count / max(count - 1, 1)
    return x * ops.cast(scale, x.dtype) + ops.cast(shift, x.dtype), mean, variance


def batch_norms(network):
    """The batch norms of a network, those within its parts as well."""
    kinds = FusedBatchNorm, layers.BatchNormalization
    inner = [batch_norms(x) for x in network.layers if isinstance(x, keras.Model)]
    return sum(inner, [x for x in network.layers if isinstance(x, kinds)])


@register
class LeakyReLU(layers.LeakyReLU):
    """Keras' layer. On CPUs, TensorFlow's kernel for its gradient takes ten times as
    long in bfloat16 as in float32, longer than a convolution: float32 computes it."""

    def call(self, x):
        if keras.backend.backend() != "tensorflow" or x.dtype != "bfloat16":
            return super().call(x)
        import tensorflow as tf

        rounded = float(np.array(self.negative_slope, x.dtype.as_numpy_dtype))

        @tf.custom_gradient
        def activate(x):
            def gradient(upstream):
                slope = tf.raw_ops.LeakyReluGrad(
                    gradients=ops.cast(upstream, "float32"),
                    features=ops.cast(x, "float32"),
                    alpha=rounded,
                )
                return ops.cast(slope, x.dtype)

            return tf.nn.leaky_relu(x, self.negative_slope), gradient

        return activate(x)


@register
class UpSampling2D(layers.UpSampling2D):
    """Keras' layer. In bfloat16 on TensorFlow, that cuts interpolated numbers to what
    bfloat16 holds, which is never needed, and whose gradient takes longer than the
    interpolation."""

    def call(self, x):
        if keras.backend.backend() != "tensorflow" or self.interpolation != "bilinear":
            return super().call(x)
        import tensorflow as tf

        (_, h, w, _), (rows, columns) = x.shape, self.size
        return ops.cast(tf.image.resize(x, (h * rows, w * columns)), x.dtype)


@register
class MinibatchStdDev(layers.Layer):
    """Appends one channel that says how much the pictures of a group differ (Karras et
    al. 2018): a generator that draws one picture only is caught by it.

    (n, h, w, c) -> (n, h, w, c + 1); n must be a multiple of `group` or less.
    """

    def __init__(self, group=4, **kwargs):
        super().__init__(**kwargs)
        self.group = group

    def call(self, x):
        n, h, w, c = ops.shape(x)
        members = min(self.group, n) if isinstance(n, int) else self.group
        y = ops.cast(ops.reshape(x, (members, -1, h, w, c)), "float32")
        y = y - ops.mean(y, axis=0, keepdims=True)
        y = ops.sqrt(ops.mean(y * y, axis=0) + 1e-8)  # (n / group, h, w, c)
        y = ops.mean(y, axis=(1, 2, 3), keepdims=True)  # one number a group
        y = ops.tile(ops.cast(y, x.dtype), (members, h, w, 1))
        return ops.concatenate([x, y], axis=-1)

    def compute_output_shape(self, input_shape):
        return (*input_shape[:-1], input_shape[-1] + 1)

    def get_config(self):
        return {**super().get_config(), "group": self.group}


@register
class SelfModulation(layers.Layer):
    """Scales and shifts every channel by numbers computed from the latent.

    Called with [x (n, h, w, c), z (n, d)]; returns x * (1 + a(z)) + b(z). The latent
    speaks to the whole picture at every size (Chen et al. 2019), so a creature has one
    palette; without it, each corner chooses its own colours.
    """

    def build(self, input_shape):
        (*_, channels), latent_shape = input_shape
        self.scale = layers.Dense(channels, dtype=self.dtype_policy, name="scale")
        self.shift = layers.Dense(channels, dtype=self.dtype_policy, name="shift")
        self.scale.build(latent_shape)
        self.shift.build(latent_shape)

    def call(self, inputs):
        x, z = inputs
        return x * (1 + self.scale(z)[:, None, None]) + self.shift(z)[:, None, None]

    def compute_output_shape(self, input_shape):
        return input_shape[0]


@register
class UnitLatent(layers.Layer):
    """Scales each latent (n, d) to a mean square of one (Karras et al. 2018)."""

    def call(self, z):
        return _scaled(z)


def _scaled(z):
    return z * ops.rsqrt(ops.mean(z * z, axis=-1, keepdims=True) + 1e-8)


@register
class TypedLatent(layers.Layer):
    """Reads the last `types` numbers of each latent (n, d + types) as a choice: of the
    largest of them, and of all its equals.

    So a row of zeros and ones says which types are meant, and mere noise chooses one at
    random; a generator with this layer is used as any other. Both parts are scaled to a
    mean square of one, as in `UnitLatent`. Returns (n, d + types).
    """

    def __init__(self, types, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})  # rounding makes new equals
        self.types = types

    def call(self, inputs):
        z, types = inputs[:, : -self.types], inputs[:, -self.types :]
        chosen = types >= ops.max(types, axis=-1, keepdims=True)
        parts = z, ops.cast(chosen, "float32")
        return ops.concatenate([_scaled(part) for part in parts], axis=-1)

    def get_config(self):
        return {**super().get_config(), "types": self.types}


@register
class Palette(layers.Layer):
    """Paints with a few flat colours, as pixel art is made.

    Called with [scores (n, h, w, k), z (n, d)]. The latent chooses k - 1 opaque colours
    for the whole picture; the first of the k "colours" is transparency. In training,
    each pixel is a mixture, weighted by the softmax of its scores, so that gradients
    flow to all of them; otherwise it takes the one colour with the highest score.
    Returns premultiplied RGBA (n, h, w, 4) in [-1, 1], float32.
    """

    def __init__(self, **kwargs):
        super().__init__(**{**kwargs, "dtype": "float32"})

    def build(self, input_shape):
        (*_, self.count), latent_shape = input_shape
        self.colours = layers.Dense(
            3 * (self.count - 1), activation="tanh", dtype="float32", name="colours"
        )
        self.colours.build(latent_shape)

    def call(self, inputs, training=False):
        scores, z = inputs
        colours = ops.reshape(self.colours(z), (-1, self.count - 1, 3))
        colours = ops.pad(colours, ((0, 0), (0, 0), (0, 1)), constant_values=1.0)
        colours = ops.pad(colours, ((0, 0), (1, 0), (0, 0)), constant_values=-1.0)
        if training:
            weights = ops.softmax(scores)
        else:
            weights = ops.one_hot(ops.argmax(scores, axis=-1), self.count)
        return ops.einsum("nhwk,nkc->nhwc", weights, colours)

    def compute_output_shape(self, input_shape):
        return (*input_shape[0][:-1], 4)


@register
class SpectralConv2D(layers.Conv2D):
    """A convolution whose kernel is divided by its largest singular value (Miyato et
    al. 2018), so that no layer of a discriminator can shout.

    The value is tracked by one power iteration a training pass. Of Conv2D's options it
    takes filters, kernel_size, strides, padding and use_bias.
    """

    def build(self, input_shape):
        super().build(input_shape)
        self.direction = self.add_weight(
            shape=(self.filters,),
            initializer="random_normal",
            dtype="float32",
            autocast=False,
            trainable=False,
            name="direction",
        )

    def call(self, x, training=False):
        kernel = ops.cast(self._kernel, "float32")
        flat = ops.reshape(kernel, (-1, self.filters))  # (h w c_in, c_out)
        fixed = ops.stop_gradient(flat)
        left = _unit(ops.matmul(fixed, self.direction.value))
        right = _unit(ops.matmul(left, fixed))
        if training:
            self.direction.assign(right)
        largest = ops.sum(ops.matmul(left, flat) * right)
        kernel = ops.cast(kernel / largest, x.dtype)
        x = ops.conv(x, kernel, strides=list(self.strides), padding=self.padding)
        return x + ops.cast(self.bias, x.dtype) if self.use_bias else x


def _unit(vector):
    return vector * ops.rsqrt(ops.sum(vector * vector) + 1e-12)
