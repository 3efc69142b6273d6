"""The laboratory: starts both sides, runs the rows on both in turn, and writes docs/performance.md.

`processes` measures what a tree of processes uses, `sides` starts the peers and Pillarbox, `scenes` sets them up for a group of rows,
`rows` says what is run, `compare` runs it in pairs, `report` writes it down."""
