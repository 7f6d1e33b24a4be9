"""Vectors of float32 lanes as values inside numba kernels.

numba leaves vectorization to LLVM's guesses, which need reassociation (and so give up a fixed order of
summation) and never keep a tile of sums in registers. Here the kernels say it themselves: ``Lanes`` is one
SIMD register's worth of floats, ``Tile`` is a square of them, and the functions below are single
instructions or a few. The order of every sum is therefore the order written in the kernel, on any number of
threads.

Arrays are C-contiguous float32 and addressed by flat offsets; nothing is bounds checked.
"""

from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import cgutils, config, types
from numba.extending import intrinsic, models, register_model


def _processor_features() -> str:
    """What numba compiles for: this machine, unless NUMBA_CPU_FEATURES says otherwise."""
    chosen = getattr(config, "CPU_FEATURES", None)
    return str(llvm.get_host_cpu_features().flatten() if chosen is None else chosen)


WIDTH = 16 if "+avx512f" in _processor_features() else 8
"""Floats in one register: 16 with AVX-512, else 8, so that a tile of WIDTH sums fits the registers."""

_FLOAT = ir.FloatType()
_VECTOR = ir.VectorType(_FLOAT, WIDTH)
_DOUBLES = ir.VectorType(ir.DoubleType(), WIDTH)
_TILE = ir.ArrayType(_VECTOR, WIDTH)
_INT32 = ir.IntType(32)


class _Lanes(types.Type):
    def __init__(self) -> None:
        super().__init__(name="Lanes")


class _Tile(types.Type):
    def __init__(self) -> None:
        super().__init__(name="Tile")


class _Wide(types.Type):
    def __init__(self) -> None:
        super().__init__(name="Wide")


lanes_type = _Lanes()
wide_type = _Wide()
tile_type = _Tile()


@register_model(_Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, numba_type: Any) -> None:
        super().__init__(manager, numba_type, _VECTOR)


@register_model(_Wide)
class _WideModel(models.PrimitiveModel):
    def __init__(self, manager: Any, numba_type: Any) -> None:
        super().__init__(manager, numba_type, _DOUBLES)


@register_model(_Tile)
class _TileModel(models.PrimitiveModel):
    def __init__(self, manager: Any, numba_type: Any) -> None:
        super().__init__(manager, numba_type, _TILE)


def instruction(function: Callable[..., Any]) -> Callable[..., Any]:
    """Make a function that writes LLVM code callable from kernels."""
    made: Callable[..., Any] = intrinsic(function)
    return made


def _pointer(context: Any, builder: Any, array_type: Any, array: Any, offset: Any) -> Any:
    data = context.make_array(array_type)(context, builder, array).data
    return builder.gep(data, [offset])


def _load(builder: Any, pointer: Any) -> Any:
    vector = builder.load(builder.bitcast(pointer, _VECTOR.as_pointer()))
    vector.align = 4
    return vector


def _store(builder: Any, vector: Any, pointer: Any) -> None:
    builder.store(vector, builder.bitcast(pointer, _VECTOR.as_pointer())).align = 4


def _splat(builder: Any, scalar: Any) -> Any:
    first = builder.insert_element(ir.Constant(_VECTOR, ir.Undefined), scalar, _INT32(0))
    return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(_INT32, WIDTH), [0] * WIDTH))


def _multiply_add(builder: Any, left: Any, right: Any, addend: Any) -> Any:
    """Fused where the processor can (fmuladd never falls back to a library call as fma does)."""
    bits = 64 if addend.type == _DOUBLES else 32
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(addend.type, [addend.type] * 3), f"llvm.fmuladd.v{WIDTH}f{bits}"
    )
    return builder.call(function, [left, right, addend])


def _shuffle(builder: Any, left: Any, right: Any, order: list[int]) -> Any:
    return builder.shuffle_vector(left, right, ir.Constant(ir.VectorType(_INT32, len(order)), order))


def _total(builder: Any, vector: Any) -> Any:
    width = WIDTH
    while width > 1:  # halves are added to halves: the fixed order that costs the fewest instructions
        width //= 2
        low = _shuffle(builder, vector, vector, list(range(width)))
        high = _shuffle(builder, vector, vector, list(range(width, 2 * width)))
        vector = builder.fadd(low, high)
    return builder.extract_element(vector, _INT32(0))


@instruction
def load(typing: Any, array: Any, offset: Any) -> Any:
    """``array[offset : offset + WIDTH]`` as lanes."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _load(builder, _pointer(context, builder, signature.args[0], *arguments))

    return lanes_type(array, types.intp), code


@instruction
def load_part(typing: Any, array: Any, offset: Any, count: Any) -> Any:
    """``array[offset : offset + count]`` followed by zeros, without touching what lies behind."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = _pointer(context, builder, signature.args[0], *arguments[:2])
        pointer = builder.bitcast(pointer, _VECTOR.as_pointer())
        integers = ir.VectorType(_INT32, WIDTH)
        first = builder.insert_element(
            ir.Constant(integers, ir.Undefined), builder.trunc(arguments[2], _INT32), _INT32(0)
        )
        counts = builder.shuffle_vector(first, first, ir.Constant(integers, [0] * WIDTH))
        mask = builder.icmp_signed("<", ir.Constant(integers, list(range(WIDTH))), counts)
        kind = ir.FunctionType(_VECTOR, [_VECTOR.as_pointer(), _INT32, ir.VectorType(ir.IntType(1), WIDTH), _VECTOR])
        function = cgutils.get_or_insert_function(builder.module, kind, f"llvm.masked.load.v{WIDTH}f32.p0")
        return builder.call(function, [pointer, _INT32(4), mask, ir.Constant(_VECTOR, [0.0] * WIDTH)])

    return lanes_type(array, types.intp, types.intp), code


@instruction
def store(typing: Any, array: Any, offset: Any, vector: Any) -> Any:
    """Write lanes to ``array[offset : offset + WIDTH]``."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        _store(builder, arguments[2], _pointer(context, builder, signature.args[0], *arguments[:2]))
        return context.get_dummy_value()

    return types.void(array, types.intp, lanes_type), code


@instruction
def splat(typing: Any, scalar: Any) -> Any:
    """The same number in every lane."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _splat(builder, arguments[0])

    return lanes_type(types.float32), code


@instruction
def multiply(typing: Any, left: Any, right: Any) -> Any:
    """Lane by lane product."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fmul(*arguments)

    return lanes_type(lanes_type, lanes_type), code


@instruction
def add(typing: Any, left: Any, right: Any) -> Any:
    """Lane by lane sum."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fadd(*arguments)

    return lanes_type(lanes_type, lanes_type), code


@instruction
def multiply_add(typing: Any, left: Any, right: Any, addend: Any) -> Any:
    """``left * right + addend``, lane by lane."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _multiply_add(builder, *arguments)

    return lanes_type(lanes_type, lanes_type, lanes_type), code


@instruction
def total(typing: Any, vector: Any) -> Any:
    """Sum of the lanes, always in the same order."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _total(builder, arguments[0])

    return types.float32(lanes_type), code


@instruction
def wide_zero(typing: Any) -> Any:
    """Lanes of float64 zeros, to sum in."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(_DOUBLES, [0.0] * WIDTH)

    return wide_type(), code


@instruction
def wide_multiply_add(typing: Any, left: Any, right: Any, addend: Any) -> Any:
    """``left * right + addend`` in float64, so that products of float32 are exact."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        left, right, addend = arguments
        return _multiply_add(builder, builder.fpext(left, _DOUBLES), builder.fpext(right, _DOUBLES), addend)

    return wide_type(lanes_type, lanes_type, wide_type), code


@instruction
def wide_total(typing: Any, vector: Any) -> Any:
    """Sum of the float64 lanes, always in the same order."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _total(builder, arguments[0])

    return types.float64(wide_type), code


@instruction
def prefetch(typing: Any, array: Any, offset: Any) -> Any:
    """Ask for the cache line of ``array[offset]``; the address need not be valid."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        pointer = builder.bitcast(_pointer(context, builder, signature.args[0], *arguments), ir.IntType(8).as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [ir.IntType(8).as_pointer(), _INT32, _INT32, _INT32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        builder.call(function, [pointer, _INT32(0), _INT32(2), _INT32(1)])
        return context.get_dummy_value()

    return types.void(array, types.intp), code


@instruction
def load_tile(typing: Any, array: Any, offset: Any, stride: Any) -> Any:
    """WIDTH rows of lanes, ``stride`` floats apart."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, offset, stride = arguments
        tile = ir.Constant(_TILE, ir.Undefined)
        for row in range(WIDTH):
            pointer = _pointer(context, builder, signature.args[0], array, offset)
            tile = builder.insert_value(tile, _load(builder, pointer), row)
            offset = builder.add(offset, stride)
        return tile

    return tile_type(array, types.intp, types.intp), code


@instruction
def store_tile(typing: Any, array: Any, offset: Any, stride: Any, tile: Any) -> Any:
    """Write WIDTH rows of lanes, ``stride`` floats apart."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        array, offset, stride, tile = arguments
        for row in range(WIDTH):
            pointer = _pointer(context, builder, signature.args[0], array, offset)
            _store(builder, builder.extract_value(tile, row), pointer)
            offset = builder.add(offset, stride)
        return context.get_dummy_value()

    return types.void(array, types.intp, types.intp, tile_type), code


@instruction
def add_outer(typing: Any, tile: Any, array: Any, offset: Any, vector: Any) -> Any:
    """``tile + outer(array[offset : offset + WIDTH], vector)``."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        tile, array, offset, vector = arguments
        pointer = _pointer(context, builder, signature.args[1], array, offset)
        for row in range(WIDTH):
            scalar = builder.load(builder.gep(pointer, [ir.IntType(64)(row)]))
            lanes = _multiply_add(builder, _splat(builder, scalar), vector, builder.extract_value(tile, row))
            tile = builder.insert_value(tile, lanes, row)
        return tile

    return tile_type(tile_type, array, types.intp, lanes_type), code


@instruction
def zero_tile(typing: Any) -> Any:
    """A tile of zeros."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(_TILE, [ir.Constant(_VECTOR, [0.0] * WIDTH)] * WIDTH)

    return tile_type(), code


@instruction
def add_rows(typing: Any, tile: Any, array: Any, offset: Any, stride: Any, vector: Any) -> Any:
    """Add to each of the tile's rows the product of ``vector`` and one of WIDTH rows of the array."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        tile, array, offset, stride, vector = arguments
        for row in range(WIDTH):
            lanes = _load(builder, _pointer(context, builder, signature.args[1], array, offset))
            lanes = _multiply_add(builder, lanes, vector, builder.extract_value(tile, row))
            tile = builder.insert_value(tile, lanes, row)
            offset = builder.add(offset, stride)
        return tile

    return tile_type(tile_type, array, types.intp, types.intp, lanes_type), code


@instruction
def row_totals(typing: Any, tile: Any) -> Any:
    """Sum of each of the tile's rows, as lanes."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        vectors = [builder.extract_value(arguments[0], row) for row in range(WIDTH)]
        half = WIDTH // 2
        while half:  # merge rows two and two, halving what is left of each, until every lane is one row's sum
            starts = range(0, WIDTH, 2 * half)
            order = [side + start + k for start in starts for side in (0, WIDTH) for k in range(half)]
            other = [j + half for j in order]
            count = len(vectors) // 2
            vectors = [
                builder.fadd(
                    _shuffle(builder, vectors[k], vectors[k + count], order),
                    _shuffle(builder, vectors[k], vectors[k + count], other),
                )
                for k in range(count)
            ]
            half //= 2
        return vectors[0]

    return lanes_type(tile_type), code


@instruction
def add_weighted_rows(typing: Any, sums: Any, array: Any, offset: Any, stride: Any, weights: Any) -> Any:
    """``sums`` plus WIDTH rows of the array, each times its lane of ``weights``."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        sums, array, offset, stride, weights = arguments
        partial = [
            sums,
            ir.Constant(_VECTOR, [0.0] * WIDTH),
        ]  # two chains: each waits for its last sum half as long
        for row in range(WIDTH):
            lanes = _load(builder, _pointer(context, builder, signature.args[1], array, offset))
            weight = _shuffle(builder, weights, weights, [row] * WIDTH)
            partial[row % 2] = _multiply_add(builder, lanes, weight, partial[row % 2])
            offset = builder.add(offset, stride)
        return builder.fadd(*partial)

    return lanes_type(lanes_type, array, types.intp, types.intp, lanes_type), code
