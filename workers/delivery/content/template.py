"""Parse templates to a tree, once for all messages."""

from __future__ import annotations

from dataclasses import dataclass, field

from delivery.content.errors import ContentError
from delivery.content.tags import Tag, tags

SOURCE_CHARS_MAX = 500_000  # of one part of a message
DEPTH_MAX = 20  # blocks in blocks
TAGS_MAX = 20_000
Name = tuple[str, ...]


@dataclass(frozen=True, repr=False)
class Text:
    """Text that is the same for every recipient."""

    text: str


@dataclass(frozen=True, repr=False)
class Value:
    """`{{name}}`; with `is_raw` `{{{name}}}`, which is not escaped."""

    name: Name
    is_raw: bool


@dataclass(frozen=True, repr=False)
class If:
    """`{{#if name}} then {{else}} otherwise {{/if}}`."""

    name: Name
    then: Nodes
    otherwise: Nodes


@dataclass(frozen=True, repr=False)
class Each:
    """`{{#each name}} body {{/each}}`. `tag` is its place."""

    name: Name
    body: Nodes
    tag: Tag


Node = Text | Value | If | Each
Nodes = tuple[Node, ...]


@dataclass(frozen=True, repr=False)
class Template:
    """A parsed template. Its depth is at most DEPTH_MAX."""

    nodes: Nodes


@dataclass(repr=False)
class _Block:
    """A block whose end is not read yet. `then` is set when `{{else}}` was read."""

    tag: Tag
    nodes: list[Node] = field(default_factory=list)
    then: Nodes | None = None


def parse(source: str) -> Template:
    """Return the template. Raises TemplateError with line and column, ContentError for its size."""
    if len(source) > SOURCE_CHARS_MAX:
        raise ContentError(
            f"the template has more than {SOURCE_CHARS_MAX:,} characters: shorten it"
        )
    blocks = [_Block(Tag("", 1, 1))]
    for number, tag in enumerate(tags(source)):
        if number > 2 * TAGS_MAX:
            raise tag.error(f"the template has more than {TAGS_MAX:,} tags", "shorten it")
        _add(blocks, tag)
    if len(blocks) > 1:
        opened = blocks[-1].tag
        raise opened.error(f"{{{{{opened.word}}}}} is not closed", f"add {_closing(opened)}")
    return Template(tuple(blocks[0].nodes))


def _add(blocks: list[_Block], tag: Tag) -> None:
    match tag.word:
        case "":
            if tag.text:
                blocks[-1].nodes.append(Text(tag.text))
        case "value" | "raw":
            _assert_known(blocks, tag)
            blocks[-1].nodes.append(Value(tag.name, tag.word == "raw"))
        case "#if" | "#each":
            _assert_known(blocks, tag)
            if len(blocks) > DEPTH_MAX:
                raise tag.error(f"blocks are nested more than {DEPTH_MAX} deep", "nest fewer")
            blocks.append(_Block(tag))
        case "else":
            _begin_otherwise(blocks[-1], tag)
        case _:
            _close(blocks, tag)


def _assert_known(blocks: list[_Block], tag: Tag) -> None:
    """`this` and `@index` have a meaning in a list only."""
    is_item = tag.name[0] in ("this", "@index")
    if is_item and not any(block.tag.word == "#each" for block in blocks):
        raise tag.error(f"`{tag.name[0]}` is outside of {{{{#each}}}}", "move it into the block")


def _begin_otherwise(block: _Block, tag: Tag) -> None:
    if block.tag.word != "#if":
        raise tag.error("{{else}} does not belong to {{#if}}", "remove it, or add {{#if name}}")
    if block.then is not None:
        raise tag.error("{{#if}} has two {{else}}", "remove this one")
    block.then, block.nodes = tuple(block.nodes), []


def _close(blocks: list[_Block], tag: Tag) -> None:
    block = blocks[-1]
    closing = f"{{{{{tag.word}}}}}"
    if len(blocks) == 1:
        raise tag.error(f"{closing} closes no block", "remove it")
    if tag.word[1:] != block.tag.word[1:]:
        opened = f"{{{{{block.tag.word}}}}} of line {block.tag.line}"
        raise tag.error(f"{closing} closes {opened}", f"write {_closing(block.tag)}")
    blocks.pop()
    nodes = tuple(block.nodes)
    if block.tag.word == "#each":
        blocks[-1].nodes.append(Each(block.tag.name, nodes, block.tag))
    elif block.then is None:
        blocks[-1].nodes.append(If(block.tag.name, nodes, ()))
    else:
        blocks[-1].nodes.append(If(block.tag.name, block.then, nodes))


def _closing(opened: Tag) -> str:
    return f"{{{{/{opened.word[1:]}}}}}"
