"""The instructions of `cofactor.kernels.scan`: four users times a chunk of items, which scores reach a cut."""

from typing import Any

from llvmlite import ir
from numba.core import cgutils, types

from cofactor.kernels.lanes import (
    WIDTH,
    _load,
    _multiply_add,
    _pointer,
    _shuffle,
    _splat,
    instruction,
    tile_type,
)

TOGETHER = 4
"""Users whose scores are summed at a time."""

REGISTERS = WIDTH // TOGETHER
CHUNK = REGISTERS * WIDTH
"""Items whose scores are summed at a time: with four users, as many sums as registers hold."""

_INT64 = ir.IntType(64)


@instruction
def add_scores(
    typing: Any, sums: Any, users: Any, starts: Any, first: Any, column: Any, tiles: Any, offset: Any
) -> Any:
    """Add one column's products to four users' sums for one chunk.

    ``starts[first : first + 4]`` are the places in ``users`` where their vectors start; ``offset`` is where the
    chunk's numbers of this column start in ``tiles``.
    """

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        sums, users, starts, first, column, tiles, offset = arguments
        place = _pointer(context, builder, signature.args[2], starts, first)
        chunk = _pointer(context, builder, signature.args[5], tiles, offset)
        items = [_load(builder, builder.gep(chunk, [_INT64(k * WIDTH)])) for k in range(REGISTERS)]
        for user in range(TOGETHER):
            start = builder.load(builder.gep(place, [_INT64(user)]))
            pointer = _pointer(context, builder, signature.args[1], users, builder.add(start, column))
            number = _splat(builder, builder.load(pointer))
            for k, item in enumerate(items):
                row = user * REGISTERS + k
                product = _multiply_add(builder, item, number, builder.extract_value(sums, row))
                sums = builder.insert_value(sums, product, row)
        return sums

    return tile_type(tile_type, users, starts, types.intp, types.intp, tiles, types.intp), code


@instruction
def reached(typing: Any, scores: Any, offset: Any, cut: Any) -> Any:
    """One bit for each of CHUNK scores from the offset on: whether it is at least the cut."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        scores, offset, cut = arguments
        kind = ir.VectorType(ir.FloatType(), CHUNK)
        pointer = _pointer(context, builder, signature.args[0], scores, offset)
        vector = builder.load(builder.bitcast(pointer, kind.as_pointer()))
        vector.align = 4
        first = builder.insert_element(ir.Constant(kind, ir.Undefined), cut, ir.IntType(32)(0))
        above = builder.fcmp_ordered(">=", vector, _shuffle(builder, first, first, [0] * CHUNK))
        bits = builder.bitcast(above, ir.IntType(CHUNK))
        return bits if _INT64.width == CHUNK else builder.zext(bits, _INT64)

    return types.int64(scores, types.intp, types.float32), code


@instruction
def first_bit(typing: Any, bits: Any) -> Any:
    """The place of the lowest bit that is set."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = ir.FunctionType(_INT64, [_INT64, ir.IntType(1)])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.cttz.i64")
        return builder.call(function, [arguments[0], ir.IntType(1)(1)])

    return types.int64(types.int64), code
