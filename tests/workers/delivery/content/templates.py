"""Generated templates, and names to fill them with."""

from __future__ import annotations

from hypothesis import strategies as st

# No backtick and no equals sign: Handlebars escapes these too. No line break: nothing to strip.
TEXTS = st.text("ab <>&\"'é{}", max_size=6).map(
    lambda text: text.replace("{{", "{").replace("}}", "}").strip("{}")
)
PATHS = ["contact.first", "contact.list", "custom.a", "custom.none", "variables.rows", "nothing"]
ITEM_PATHS = [*PATHS, "this", "this.b", "b", "@index", "this.list", "list"]


def _blocks(depth: int, paths: list[str]) -> st.SearchStrategy[str]:
    names = st.sampled_from(paths)
    leaves = st.one_of(
        TEXTS,
        names.map(lambda name: f"{{{{{name}}}}}"),
        names.map(lambda name: f"{{{{{{ {name} }}}}}}"),
    )
    if depth == 0:
        return leaves
    inner = st.lists(_blocks(depth - 1, paths), max_size=3).map("".join)
    items = st.lists(_blocks(depth - 1, ITEM_PATHS), max_size=3).map("".join)
    return st.one_of(
        leaves,
        st.builds(lambda name, a: f"{{{{#if {name}}}}}{a}{{{{/if}}}}", names, inner),
        st.builds(
            lambda name, a, b: f"{{{{#if {name}}}}}{a}{{{{else}}}}{b}{{{{/if}}}}",
            names, inner, inner,
        ),
        st.builds(lambda name, a: f"{{{{#each {name}}}}}{a}{{{{/each}}}}", names, items),
    )  # fmt: skip


sources = st.lists(_blocks(3, PATHS), max_size=4).map("".join)

# Scalars that both sides write alike; no null in an item, which Handlebars looks past.
scalars = st.one_of(
    st.booleans(),
    st.integers(-(2**53), 2**53),
    st.sampled_from([0.5, -1.25, 12.0, 0.0]),
    st.text("ab <>&\"'é{}#/", max_size=8),
    st.sampled_from(["{{contact.first}}", "{{#if a}}", "</body>", "$&", "{{{this}}}"]),
)
items = st.one_of(
    st.fixed_dictionaries({}, optional={"b": scalars, "list": st.lists(scalars, max_size=2)}),
    scalars,
)
names = st.fixed_dictionaries(
    {},
    optional={
        "contact": st.fixed_dictionaries(
            {}, optional={"first": st.none() | scalars, "list": st.lists(scalars, max_size=3)}
        ),
        "custom": st.fixed_dictionaries({}, optional={"a": scalars, "none": st.none()}),
        "variables": st.fixed_dictionaries({}, optional={"rows": st.lists(items, max_size=3)}),
    },
)
