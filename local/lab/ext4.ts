import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFile, mkdir, open, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { LeewardError } from "../../replication/errors.ts";
import { LAB_TOOL_MS } from "../limits.ts";
import { outsideTool } from "./outside-tools.ts";
import { seededRandom } from "./random.ts";
import { fillWithText } from "./writer.ts";

/** One block that the file system writes, and whether it flushes afterwards, in the order of ext4's own journal. */
export interface BlockWrite {
  readonly offsetBytes: number;
  readonly bytes: Buffer;
  readonly flush: boolean;
  /** The block that commits the new file, whatever happens afterwards: the journal's commit block. */
  readonly commits: boolean;
}

const TOOLS = ["mke2fs", "debugfs", "e2fsck"] as const;
const BLOCK_BYTES = 4096;
const NEEDS_RECOVERY = 0x4;
const INCOMPATIBLE_FEATURES_AT = 1024 + 96;
const run = promisify(execFile);

/** The e2fsprogs tools that this machine lacks (LEEWARD_HIDE_TOOLS makes it lack all of them). */
export function missingExt4Tools(): readonly string[] {
  return TOOLS.filter((name) => outsideTool(name) === undefined);
}

/**
 * Makes an empty ext4 file system in a raw image, with the features of the distribution's mke2fs for a kernel of its
 * age.
 */
export async function makeDefaultExt4(imagePath: string, sizeBytes: number): Promise<void> {
  await makeEmptyImage(imagePath, sizeBytes);
  await tool("mke2fs", ["-q", "-F", "-t", "ext4", "-b", String(BLOCK_BYTES), imagePath]);
}

/** Makes an empty ext4 file system with a journal in a raw image, for `addExt4File`. */
export async function makeExt4(imagePath: string, sizeBytes: number): Promise<void> {
  await makeEmptyImage(imagePath, sizeBytes);
  // Feature by feature, so that every version of mke2fs makes the same; without journal checksums, which debugfs would
  // have to extend.
  const features = "none,has_journal,extent,filetype,sparse_super,large_file,dir_index";
  const lazy = "lazy_itable_init=0,lazy_journal_init=0";
  await tool("mke2fs", [
    "-q",
    "-F",
    "-t",
    "ext4",
    "-b",
    String(BLOCK_BYTES),
    "-J",
    "size=4",
    "-N",
    "1024",
    "-O",
    features,
    "-E",
    lazy,
    imagePath,
  ]);
}

/**
 * Adds file `number` to the file system in the shadow image and returns the writes that a kernel would send to the disk
 * for it, in ext4's order: the file's own blocks, a flush, the transaction in the journal with its commit block last, a
 * flush, then the metadata in place. Cut anywhere, it mounts.
 */
export async function addExt4File(shadowPath: string, number: number, seed: number): Promise<readonly BlockWrite[]> {
  const [withFile, journaled, content] = [`${shadowPath}.file`, `${shadowPath}.journal`, `${shadowPath}.content`];
  const name = fileName(number);
  try {
    await writeFile(content, fileContent(number, seed));
    await copyFile(shadowPath, withFile);
    await debugfs(withFile, [`write ${content} ${name}`]);
    const [before, after] = [await readFile(shadowPath), await readFile(withFile)];
    const ownBlocks = await blocksOf(withFile, name);
    const changed = changedBlocks(before, after);
    const data = changed.filter((block) => ownBlocks.has(block));
    const metadata = changed.filter((block) => !ownBlocks.has(block));
    const contents = Buffer.concat(metadata.map((block) => blockOf(block === 0 ? recovering(after) : after, block)));
    await writeFile(content, contents);
    for (const block of data) blockOf(after, block).copy(before, block * BLOCK_BYTES);
    await writeFile(journaled, before);
    await debugfs(journaled, ["journal_open", `journal_write -b ${metadata.join(",")} ${content}`, "journal_close"]);
    const logged = await readFile(journaled);
    const [journalStart] = await blocksOf(journaled, "<8>");
    if (journalStart === undefined)
      throw new LeewardError("internal", "The file system has no journal", { shadowPath });
    await debugfs(journaled, ["journal_run"]);
    const settled = await readFile(journaled);
    await copyFile(journaled, shadowPath);
    return [
      ...writesOf(after, data),
      ...transaction(logged, changedBlocks(before, logged), journalStart),
      ...checkpoint(settled, recovering(settled), changedBlocks(logged, settled), journalStart),
    ];
  } finally {
    await Promise.all([withFile, journaled, content].map((path) => rm(path, { force: true })));
  }
}

export type Ext4Verdict =
  | { readonly kind: "files"; readonly count: number }
  | { readonly kind: "damaged"; readonly wrong: string };

/**
 * Checks what a machine would find on this disk: replays the journal as a mount does, then `e2fsck -fn` must find
 * nothing, and the files must be exactly 1..count, each with its own content. Works on a copy; `path` may be a VHD,
 * whose footer follows the file system.
 */
export async function checkExt4(path: string, seed: number): Promise<Ext4Verdict> {
  const disk = await readExt4(path);
  if (disk.kind === "damaged") return disk;
  const names = [...disk.files.keys()].sort();
  for (const [index, name] of names.entries()) {
    if (name !== fileName(index + 1))
      return { kind: "damaged", wrong: `file ${fileName(index + 1)} is missing, ${name} is there` };
    const whole = disk.files.get(name)?.equals(fileContent(index + 1, seed)) ?? false;
    if (!whole) return { kind: "damaged", wrong: `the content of ${name} is not what was written` };
  }
  return { kind: "files", count: names.length };
}

export type Ext4Disk =
  | { readonly kind: "clean"; readonly files: ReadonlyMap<string, Buffer> }
  | { readonly kind: "damaged"; readonly wrong: string };

/**
 * Replays the journal as a mount does, then `e2fsck -fn` must find nothing. Returns the files of the root folder by
 * name. Works on a copy.
 */
export async function readExt4(path: string): Promise<Ext4Disk> {
  const [copy, dump] = [`${path}.check`, `${path}.files`];
  try {
    await copyFile(path, copy);
    await tool("e2fsck", ["-E", "journal_only", "-y", copy], [0, 1]);
    const check = await tool("e2fsck", ["-fn", copy], [0, 4, 8, 12]);
    if (check.exitCode !== 0)
      return { kind: "damaged", wrong: `e2fsck -fn ended with ${check.exitCode}: ${check.output.slice(0, 400)}` };
    await mkdir(dump, { recursive: true });
    await debugfs(copy, [`rdump / ${dump}`]);
    const files = new Map<string, Buffer>();
    for (const name of await readdir(dump))
      if (name !== "lost+found") files.set(name, await readFile(join(dump, name)));
    return { kind: "clean", files };
  } finally {
    await Promise.all([copy, dump].map((at) => rm(at, { force: true, recursive: true })));
  }
}

/** Whether a mount of this disk would replay its journal: the file system was not unmounted. */
export function needsRecovery(image: Buffer): boolean {
  return (image.readUInt32LE(INCOMPATIBLE_FEATURES_AT) & NEEDS_RECOVERY) !== 0;
}

/** 1 to 48 KiB: a line with number and hash, then text. */
function fileContent(number: number, seed: number): Buffer {
  const random = seededRandom(seed, number, 0x66696c65);
  const body = Buffer.alloc(1024 + random.below(47 * 1024));
  fillWithText(body, number, random);
  return Buffer.concat([
    Buffer.from(`file ${number} sha256 ${createHash("sha256").update(body).digest("hex")}\n`),
    body,
  ]);
}

const fileName = (number: number): string => `${String(number).padStart(5, "0")}.txt`;

/**
 * The journal's own superblock says where the log begins, so it goes first; the commit block is the last of the log.
 */
function transaction(image: Buffer, blocks: readonly number[], journalStart: number): readonly BlockWrite[] {
  const log = blocks.filter((block) => block !== 0 && block !== journalStart);
  const head = [0, journalStart].filter((block) => blocks.includes(block));
  const writes = writesOf(image, [...head, ...log]);
  return writes.map((write, at) => (at === writes.length - 1 ? { ...write, commits: true } : write));
}

/**
 * Metadata in place; only when all of it is written may the journal be marked empty, and only then the file system
 * clean.
 */
function checkpoint(
  image: Buffer,
  unclean: Buffer,
  blocks: readonly number[],
  journalStart: number,
): readonly BlockWrite[] {
  const inPlace = blocks.filter((block) => block !== 0 && block !== journalStart);
  return [
    ...writesOf(image, inPlace),
    ...writesOf(unclean, [0]),
    ...writesOf(image, [journalStart]),
    ...writesOf(image, [0]),
  ];
}

/** Writes of these blocks in this order, with a flush after the last. */
function writesOf(image: Buffer, blocks: readonly number[]): readonly BlockWrite[] {
  return blocks.map((block, at) => ({
    offsetBytes: block * BLOCK_BYTES,
    bytes: Buffer.from(blockOf(image, block)),
    flush: at === blocks.length - 1,
    commits: false,
  }));
}

const blockOf = (image: Buffer, block: number): Buffer =>
  image.subarray(block * BLOCK_BYTES, (block + 1) * BLOCK_BYTES);

function changedBlocks(before: Buffer, after: Buffer): readonly number[] {
  const blocks: number[] = [];
  for (let block = 0; block * BLOCK_BYTES < after.length; block++) {
    if (!blockOf(before, block).equals(blockOf(after, block))) blocks.push(block);
  }
  return blocks;
}

/** The first block with the superblock's "needs recovery" set, as it is on disk while a journal is in use. */
function recovering(image: Buffer): Buffer {
  const first = Buffer.from(blockOf(image, 0));
  first.writeUInt32LE((first.readUInt32LE(INCOMPATIBLE_FEATURES_AT) | NEEDS_RECOVERY) >>> 0, INCOMPATIBLE_FEATURES_AT);
  return first;
}

async function makeEmptyImage(imagePath: string, sizeBytes: number): Promise<void> {
  await rm(imagePath, { force: true });
  const image = await open(imagePath, "w");
  await image.truncate(sizeBytes);
  await image.close();
}

async function blocksOf(imagePath: string, file: string): Promise<ReadonlySet<number>> {
  const listing = await tool("debugfs", ["-R", `blocks ${file}`, imagePath]);
  return new Set([...listing.output.matchAll(/\b\d+\b/g)].map((match) => Number(match[0])));
}

async function debugfs(imagePath: string, commands: readonly string[]): Promise<void> {
  const script = `${imagePath}.commands`;
  try {
    await writeFile(script, commands.map((command) => `${command}\n`).join(""));
    await tool("debugfs", ["-w", "-f", script, imagePath]);
  } finally {
    await rm(script, { force: true });
  }
}

async function tool(
  name: (typeof TOOLS)[number],
  parameters: readonly string[],
  allowedExitCodes: readonly number[] = [0],
): Promise<{ readonly exitCode: number; readonly output: string }> {
  const path = outsideTool(name);
  if (path === undefined)
    throw new LeewardError("not-supported", `${name} is not installed.`, { name }, { hint: "Install e2fsprogs." });
  try {
    const { stdout } = await run(path, [...parameters], { timeout: LAB_TOOL_MS, maxBuffer: 16 * 1024 * 1024 });
    return { exitCode: 0, output: stdout };
  } catch (error) {
    const { code, stdout, stderr } = error as {
      readonly code?: unknown;
      readonly stdout?: string;
      readonly stderr?: string;
    };
    if (typeof code === "number" && allowedExitCodes.includes(code)) return { exitCode: code, output: stdout ?? "" };
    throw new LeewardError(
      "internal",
      `${name} failed: ${stderr ?? ""}${stdout ?? ""}`,
      { name, exitCode: String(code) },
      { cause: error },
    );
  }
}
