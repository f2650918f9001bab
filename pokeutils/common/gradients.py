"""The calculus that a GAN step needs, the same on TensorFlow and on JAX.

TensorFlow records operations on a tape; JAX differentiates pure functions, so a model
with variables has to be run as one. Every function here takes `state`, the list of all
variables that its argument may read or change; TensorFlow does not need it.
"""

import keras


def value_and_gradients(function, variables, state):
    """`function()` returns (scalar, extras). Returns scalar, extras, and the gradients
    of the scalar with respect to `variables`, one each."""
    if keras.backend.backend() == "jax":
        import jax

        pure = _as_pure(function, variables, state)
        values = [variable.value for variable in variables]
        (value, (extras, changes)), gradients = jax.value_and_grad(
            lambda values: _loss_first(pure(values)), has_aux=True
        )(values)
        _assign(changes, state)
        return value, extras, gradients
    import tensorflow as tf

    with tf.GradientTape() as tape:
        value, extras = function()
    return value, extras, tape.gradient(value, [v.value for v in variables])


def value_and_input_gradient(function, inputs, state):
    """`function(inputs)` returns (scalar, extras). Returns scalar, extras, and the
    gradient of the scalar with respect to the tensor `inputs`."""
    inputs = keras.ops.convert_to_tensor(inputs)
    if keras.backend.backend() == "jax":
        import jax

        pure = _as_pure(function, [], state)
        (value, (extras, changes)), gradient = jax.value_and_grad(
            lambda x: _loss_first(pure([], x)), has_aux=True
        )(inputs)
        _assign(changes, state)
        return value, extras, gradient
    import tensorflow as tf

    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(inputs)
        value, extras = function(inputs)
    return value, extras, tape.gradient(value, inputs)


def output_and_pullback(function, variables, state):
    """`function()` returns a tensor. Returns that tensor and a function that turns the
    gradient of a later loss with respect to it into gradients of `variables`.

    This lets one forward pass of the generator serve both updates of a step.
    """
    if keras.backend.backend() == "jax":
        import jax

        pure = _as_pure(function, variables, state)
        values = [variable.value for variable in variables]
        output, pullback, changes = jax.vjp(pure, values, has_aux=True)
        _assign(changes, state)
        return output, lambda gradient: pullback(gradient)[0]
    import tensorflow as tf

    with tf.GradientTape() as tape:
        output = function()
    targets = [variable.value for variable in variables]
    return output, lambda gradient: tape.gradient(
        output, targets, output_gradients=gradient
    )


def norm(gradients):
    """The length of all gradients as one vector: NaN or infinite if any number is."""
    gradients = [keras.ops.cast(g, "float32") for g in gradients]
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        return tf.linalg.global_norm(gradients)  # without writing the squares
    squares = [keras.ops.sum(keras.ops.square(g)) for g in gradients]
    return keras.ops.sqrt(sum(squares))


def as_stateless(function, state):
    """JAX only: turns `function(*arguments)`, which reads and changes `state`, into
    `f(values, *arguments)` -> (values after, result), ready for `jax.jit`."""
    pure = _as_pure(function, state, state)

    def stateless(values, *arguments):
        result, changes = pure(values, *arguments)
        after = [changes.get(i, value) for i, value in enumerate(values)]
        return after, result

    return stateless


def _as_pure(function, variables, state):
    """f(values of `variables`, *arguments) -> (result, {index in state: new value})."""
    replaced = {id(variable) for variable in variables}

    def pure(values, *arguments):
        # `.value` reads through an enclosing scope, so these calls nest.
        before = {id(v): v.value for v in state if id(v) not in replaced}
        before.update(
            (id(v), value) for v, value in zip(variables, values, strict=True)
        )
        mapping = [(v, before[id(v)]) for v in state]
        with keras.StatelessScope(state_mapping=mapping) as scope:
            result = function(*arguments)
        after = [scope.get_current_value(v) for v in state]
        changes = {
            i: value
            for i, (v, value) in enumerate(zip(state, after, strict=True))
            if value is not before[id(v)]
        }
        return result, changes

    return pure


def _loss_first(result_and_changes):
    (value, extras), changes = result_and_changes
    return value, (extras, changes)


def _assign(changes, state):
    for index, value in changes.items():
        state[index].assign(value)
