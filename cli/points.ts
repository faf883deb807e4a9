import { parseArgs } from "node:util";
import { z } from "zod";
import { API_OPTIONS, API_USAGE, callApi, findConnection, shaped } from "./api.ts";
import { EXIT_OK, UsageError } from "./command.ts";
import type { Command } from "./command.ts";

const usable = z.object({
  name: z.string(),
  recoveryPointType: z.string(),
  recoveryPointTime: z.string(),
  sourceTime: z.string(),
  position: z.object({ stream: z.number(), epoch: z.number() }),
});
const damaged = z.object({
  name: z.string(),
  recoveryPointTime: z.string(),
  damaged: z.object({ message: z.string() }),
});
const listing = z.object({ value: z.array(z.union([usable, damaged])) });

/** Lists the recovery points of an item, newest first. */
export const pointsCommand: Command = {
  usage: [`points ITEM [--json] ${API_USAGE}    the recovery points of an item, newest first`],
  run: async (args, terminal) => {
    const { values, positionals } = parseArgs({
      args: [...args],
      options: { ...API_OPTIONS, json: { type: "boolean" } },
      allowPositionals: true,
    });
    const [item, other] = positionals;
    if (item === undefined || other !== undefined) throw new UsageError("points takes one item");
    const connection = await findConnection(values, process.env);
    const answer = await callApi(connection, "GET", `${encodeURIComponent(item)}/recoveryPoints`);
    if (values.json === true) {
      terminal.out(JSON.stringify(answer.body, undefined, 2));
      return EXIT_OK;
    }
    const points = shaped(listing, answer).value;
    if (points.length === 0) {
      terminal.out(`${item} has no recovery points yet.`);
      return EXIT_OK;
    }
    terminal.out(
      ["POINT".padEnd(26), "TAKEN".padEnd(26), "SOURCE TIME".padEnd(26), "POSITION".padEnd(10), "TYPE"].join(""),
    );
    for (const point of points) {
      const { name, recoveryPointTime } = point;
      if ("damaged" in point) {
        terminal.out([name.padEnd(26), recoveryPointTime.padEnd(26), `damaged: ${point.damaged.message}`].join(""));
        continue;
      }
      const { sourceTime, position, recoveryPointType } = point;
      const place = `${position.stream}/${position.epoch}`;
      terminal.out(
        [
          name.padEnd(26),
          recoveryPointTime.padEnd(26),
          sourceTime.padEnd(26),
          place.padEnd(10),
          recoveryPointType,
        ].join(""),
      );
    }
    return EXIT_OK;
  },
};
