import type { DeltaFile } from "../replication/delta/decode.ts";
import type { Extent } from "../replication/delta/delta.ts";
import type { Position } from "../replication/position.ts";

/** A delta's whole description, as `--json` prints it. Frames show how they are stored, not their content. */
export function describeDelta(delta: DeltaFile, lengthBytes: number): object {
  return {
    formatVersion: delta.formatVersion,
    minimumReaderVersion: delta.minimumReaderVersion,
    lengthBytes,
    header: delta.header,
    end: delta.end,
    extents: delta.extents,
    frames: delta.frames.map((frame, index) => ({ ...frame, stored: delta.stored(index) })),
  };
}

/** The same for people: one fact per line, then a table of disks and one of extents. */
export function dumpText(path: string, delta: DeltaFile, lengthBytes: number): string {
  const { header } = delta;
  const facts: readonly (readonly [string, string])[] = [
    ["file", `${path}, ${lengthBytes} bytes`],
    ["format version", `${delta.formatVersion}, readers from version ${delta.minimumReaderVersion} on`],
    ["item", header.itemId],
    ["stream", String(header.stream)],
    ["epoch", String(header.epoch)],
    ["first write", new Date(header.firstWriteMs).toISOString()],
    ["last write", new Date(header.lastWriteMs).toISOString()],
    ["starts at", positionText(header.start)],
    ["ends at", positionText(delta.end)],
    ["consistency", header.flags.consistency],
    ["flags", flagNames(delta)],
    ["content", contentText(delta)],
  ];
  const disks = header.disks.map((disk, index) => [
    String(index),
    disk.id,
    String(disk.sizeBytes),
    String(disk.sectorSizeBytes),
  ]);
  const extents = delta.extents.map((extent) => [
    header.disks[extent.disk]?.id ?? "",
    extent.kind,
    String(extent.offsetBytes),
    String(extent.lengthBytes),
  ]);
  const width = Math.max(...facts.map(([name]) => name.length));
  return [
    ...facts.map(([name, value]) => `${name.padEnd(width)}  ${value}`),
    "",
    ...table(["disk", "id", "bytes", "sector"], disks),
    "",
    ...table(["disk", "kind", "offset", "bytes"], extents),
  ].join("\n");
}

function positionText(position: Position): string {
  return `stream ${position.stream} epoch ${position.epoch} ${position.checksum}`;
}

function flagNames(delta: DeltaFile): string {
  const { seeding, final, groupMark } = delta.header.flags;
  const names = [seeding ? "seeding" : "", final ? "final" : "", groupMark ? "group mark" : ""].filter(
    (name) => name !== "",
  );
  return names.length === 0 ? "none" : names.join(", ");
}

function contentText(delta: DeltaFile): string {
  const data = delta.extents.filter((extent) => extent.kind === "data");
  const zeros = delta.extents.filter((extent) => extent.kind === "zero");
  const storedBytes = delta.frames.reduce((sum, _, index) => sum + delta.stored(index).lengthBytes, 0);
  return [
    `${data.length} data extents of ${sumOf(data)} bytes in ${delta.frames.length} frames of ${storedBytes} stored bytes`,
    `${zeros.length} zero extents of ${sumOf(zeros)} bytes`,
  ].join(", ");
}

function sumOf(extents: readonly Extent[]): number {
  return extents.reduce((sum, extent) => sum + extent.lengthBytes, 0);
}

/** Columns as wide as their longest cell; numbers right-aligned. */
function table(titles: readonly string[], rows: readonly (readonly string[])[]): readonly string[] {
  const widths = titles.map((title, column) =>
    rows.reduce((width, row) => Math.max(width, row[column]?.length ?? 0), title.length),
  );
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, column) =>
        /^\d+$/.test(cell) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
      )
      .join("  ")
      .trimEnd();
  return [line(titles), ...rows.map(line)];
}
