"""The train step on Keras' JAX backend: for GPUs and TPUs without TensorFlow.

JAX differentiates pure functions, so what reads and changes variables is run as one:
their values go in and come out. The stages and the numbers are those of `gan.GAN`.
"""

import jax
import keras
import numpy as np
from keras import ops

from pokeutils.losses import r1_penalty


class JaxStep:
    """Methods that go before those of a GAN: `recipe.build(step=JaxStep)`."""

    def fit(self, batches, steps_per_epoch, epochs, initial_epoch=0, callbacks=(), **_):
        """Trains on `batches`, an iterable long enough for all epochs that are left."""
        step = jax.jit(as_pure(self.step_on, self.state), donate_argnums=0)
        callbacks = keras.callbacks.CallbackList([*callbacks], True, model=self)
        self.stop_training, batches = False, iter(batches)
        callbacks.on_train_begin()
        for epoch in range(initial_epoch, epochs):
            callbacks.on_epoch_begin(epoch)
            values, logs = [jax.numpy.copy(v.value) for v in self.state], []
            for _ in range(steps_per_epoch):
                values, step_logs = step(values, next(batches))
                logs.append(step_logs)
            assign(self.state, values)
            means = {k: float(np.mean([x[k] for x in logs])) for k in logs[0]}
            callbacks.on_epoch_end(epoch, means)
            if self.stop_training:
                break
        callbacks.on_train_end()
        return self.history

    def step_on(self, batch):
        return self.update(batch, self.draw(keras.tree.flatten(batch)[0].shape[0]))

    def update(self, real, draws):
        variables = self.generator.trainable_variables

        def generate():
            return self.generator(draws["latents"], training=True)

        def objective(fake):
            return self.generator_objective(fake, draws)

        # One pass of the generator serves both updates.
        pure = as_pure(generate, self.state, variables)
        backwards = jax.vjp(lambda x: pure(x)[::-1], read(variables), has_aux=True)
        fake, pullback, after = backwards
        assign(self.state, after)
        logs = self.update_discriminator(real, fake, draws)
        g_loss, slope = value_and_slope(objective, fake, self.state)
        (gradients,) = pullback(slope)
        self.g_optimizer.apply(gradients, variables)
        self.steps.assign_add(1)
        self.update_average(real.shape[0])
        return {**logs, "g_loss": g_loss, "g_norm": norm(gradients)}

    def update_discriminator(self, real, fake, draws):
        seen = self.augment(real, draws["real"])
        seen_fake = self.augment(ops.stop_gradient(fake), draws["fake"])
        variables = self.discriminator.trainable_variables

        def objective():
            outputs = [self.discriminator(x, training=True) for x in (seen, seen_fake)]
            return self.discriminator_objective(*outputs, draws)

        d_loss, logs, gradients = value_and_gradients(objective, variables, self.state)
        penalty = ops.zeros(())
        if self.r1_gamma:
            penalty, more = jax.lax.cond(
                self.steps.value % self.r1_interval == 0,
                lambda: self.r1_penalty(seen, draws),
                lambda: (ops.zeros(()), [ops.zeros(v.shape) for v in variables]),
            )
            gradients = [a + b for a, b in zip(gradients, more, strict=True)]
        self.apply_to_discriminator(gradients, logs)
        if hasattr(self, "second"):  # that of a HybridGAN, in its turn
            state = [*self.second.variables, *self.second_optimizer.variables]
            learn = as_pure(lambda: self.update_second(real, fake, draws), state)
            rest = lambda values: (values, ops.zeros(()))  # noqa: E731
            turn = self.takes_part(real.shape[0])
            after, loss = jax.lax.cond(turn, learn, rest, read(state))
            assign(state, after)
            d_loss = d_loss + loss
        return {"d_loss": d_loss, "r1": penalty, "d_norm": norm(gradients), **logs}

    def r1_penalty(self, real, draws):
        def total(pictures):
            return ops.sum(self.logits(self.discriminator(pictures), draws))

        def penalty():
            _, slope = value_and_slope(total, real, self.state)
            return r1_penalty(slope, self.r1_gamma * self.r1_interval), ()

        variables = self.discriminator.trainable_variables
        return value_and_gradients(penalty, variables, self.state)[::2]

    def update_second(self, real, fake, draws):
        real = self.second_augment(real, draws["second real"])
        fake = self.second_augment(ops.stop_gradient(fake), draws["second fake"])

        def objective():
            outputs = [self.second(x, training=True) for x in (real, fake)]
            return self.second_discriminator_loss(*outputs), ()

        variables, state = self.second.trainable_variables, self.second.variables
        loss, _, gradients = value_and_gradients(objective, variables, state)
        self.second_optimizer.apply(gradients, variables)
        return loss

    def second_opinion(self, pictures, draws):
        def opinion(pictures):
            seen = self.second_augment(pictures, draws["second fool"])
            return self.second_generator_loss(self.second(seen, training=True))

        return value_and_slope(opinion, pictures, self.second.variables)


def as_pure(function, state, variables=None):
    """Turns `function(*arguments)`, which reads and changes the variables of `state`,
    into `f(values, *arguments)` -> (all values of `state` after it, its result).

    values: of `variables`, by default all of `state`; the others are read as they are.
    """

    def pure(values, *arguments):
        before = {id(v): (v, v.value) for v in state}
        given = zip(state if variables is None else variables, values, strict=True)
        before |= {id(v): (v, value) for v, value in given}
        with keras.StatelessScope(state_mapping=list(before.values())) as scope:
            result = function(*arguments)
        return [scope.get_current_value(v) for v in state], result

    return pure


def value_and_gradients(function, variables, state):
    """`function()` returns (scalar, extras). Returns both and the float32 gradients for
    `variables`; what it changes of `state` is changed."""
    pure = as_pure(function, state, variables)

    def loss(values):
        after, (value, extras) = pure(values)
        return value, (extras, after)

    differentiate = jax.value_and_grad(loss, has_aux=True)
    (value, (extras, after)), found = differentiate(read(variables))
    assign(state, after)
    return value, extras, [gradient.astype("float32") for gradient in found]


def value_and_slope(function, inputs, state):
    """`function(inputs)` returns a scalar. Returns it and its gradient for the inputs;
    what it changes of `state` stays as it was."""
    pure = as_pure(function, state, ())
    return jax.value_and_grad(lambda inputs: pure((), inputs)[1])(inputs)


def read(variables):
    return [variable.value for variable in variables]


def assign(variables, values):
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def norm(gradients):
    return ops.sqrt(sum(ops.sum(ops.square(ops.cast(g, "float32"))) for g in gradients))
