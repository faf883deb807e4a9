import { parseArgs } from "node:util";
import { decodedFrames, decodeDelta } from "../replication/delta/decode.ts";
import { LeewardError } from "../replication/errors.ts";
import { EXIT_FAILED, EXIT_OK, errorJson, errorText, UsageError, type Command, type Terminal } from "./command.ts";
import { describeDelta, dumpText } from "./delta-dump.ts";
import { readDeltaFile } from "./read-file.ts";

/** Inspects delta files (docs/delta-format.md) without any service. */
export const deltaCommand: Command = {
  usage: [
    "delta dump [--json] FILE    header, disks and extents of a delta; checks everything but the content of the frames",
    "delta verify FILE...        checks every byte of each delta; exit code 1 if one is damaged",
  ],
  run: async (args, terminal) => {
    const [action, ...rest] = args;
    if (action === "dump") return dump(rest, terminal);
    if (action === "verify") return verify(rest, terminal);
    throw new UsageError(action === undefined ? "dump or verify?" : `there is no "delta ${action}"`);
  },
};

async function dump(args: readonly string[], terminal: Terminal): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    options: { json: { type: "boolean" } },
    allowPositionals: true,
  });
  const [path, second] = positionals;
  if (path === undefined || second !== undefined) throw new UsageError("dump takes one file");
  try {
    const bytes = await readDeltaFile(path);
    const delta = decodeDelta(bytes);
    terminal.out(
      values.json === true
        ? JSON.stringify(describeDelta(delta, bytes.length), undefined, 2)
        : dumpText(path, delta, bytes.length),
    );
    return EXIT_OK;
  } catch (error) {
    if (!(error instanceof LeewardError)) throw error;
    if (values.json === true) terminal.out(JSON.stringify(errorJson(error), undefined, 2));
    else terminal.error(`${path}: ${errorText(error)}`);
    return EXIT_FAILED;
  }
}

async function verify(args: readonly string[], terminal: Terminal): Promise<number> {
  const { positionals } = parseArgs({ args: [...args], options: {}, allowPositionals: true });
  if (positionals.length === 0) throw new UsageError("verify takes one file or more");
  let exitCode = EXIT_OK;
  for (const path of positionals) {
    try {
      terminal.out(`${path}: ${await verifyFile(path)}`);
    } catch (error) {
      if (!(error instanceof LeewardError)) throw error;
      terminal.error(`${path}: ${errorText(error)}`);
      exitCode = EXIT_FAILED;
    }
  }
  return exitCode;
}

async function verifyFile(path: string): Promise<string> {
  const delta = decodeDelta(await readDeltaFile(path));
  let plainBytes = 0;
  for (const frame of decodedFrames(delta)) plainBytes += frame.bytes.length;
  const { itemId, stream, epoch } = delta.header;
  return `ok, ${itemId} stream ${stream} epoch ${epoch}, ${delta.extents.length} extents, ${plainBytes} bytes of data, ends at ${delta.end.checksum}`;
}
