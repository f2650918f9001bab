"""How many floating-point operations a step is made of, counted in its graph.

Multiplications and additions of convolutions and matrix products, two for each weight
used; norms, activations and optimisers are not counted.
"""

CONVOLUTIONS = ("Conv2D", "Conv2DBackpropInput", "Conv2DBackpropFilter")


def of_step(model, case):
    """Returns {kind of operation: FLOPs} of one compiled `train_step` of a model."""
    import tensorflow as tf

    shape = (case["batch"], case["size"], case["size"], case["channels"])
    step = tf.function(model.train_step, autograph=False)
    return of_graph(step.get_concrete_function(tf.TensorSpec(shape)).graph)


def of_graph(graph):
    """Returns {kind: FLOPs} of a TensorFlow graph and of the functions it calls. Of a
    branch both sides are counted. Raises ValueError for shapes that are not known."""
    found = {}
    for operation in graph.get_operations():
        kind = operation.type
        if kind in CONVOLUTIONS:
            amount = _convolution(operation)
        elif kind in ("MatMul", "BatchMatMulV2"):
            amount = _product(operation)
        else:
            continue
        found[kind] = found.get(kind, 0) + amount
    for function in graph._functions.values():
        for kind, amount in of_graph(function.graph).items():
            found[kind] = found.get(kind, 0) + amount
    return found


def _convolution(operation):
    """The three passes of a convolution cost the same: for each number of its output
    (or of that output's gradient), one kernel of all input channels."""
    import tensorflow as tf

    if operation.type == "Conv2D":
        kernel, outside = operation.inputs[1].shape, operation.outputs[0].shape
    elif operation.type == "Conv2DBackpropInput":
        kernel, outside = operation.inputs[1].shape, operation.inputs[2].shape
    else:
        outside = operation.inputs[2].shape
        kernel = operation.outputs[0].shape
        if not kernel.is_fully_defined():
            kernel = tf.get_static_value(operation.inputs[1])
    height, width, inside, _ = kernel
    return 2 * int(height) * int(width) * int(inside) * _count(operation, outside)


def _product(operation):
    left = operation.inputs[0].shape
    across = left[-2] if operation.get_attr(_transposed(operation)) else left[-1]
    return 2 * int(across) * _count(operation, operation.outputs[0].shape)


def _transposed(operation):
    return "transpose_a" if operation.type == "MatMul" else "adj_x"


def _count(operation, shape):
    if not shape.is_fully_defined():
        raise ValueError(f"{operation.name}: the shape {shape} is not known.")
    return shape.num_elements()
