import { parseArgs } from "node:util";
import { API_OPTIONS, API_USAGE, findConnection, openApi } from "./api.ts";
import { EXIT_OK, UsageError, type Command } from "./command.ts";

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
    const { body } = await openApi(connection).listRecoveryPoints({ item });
    if (values.json === true) {
      terminal.out(JSON.stringify(body, undefined, 2));
      return EXIT_OK;
    }
    const points = body.value;
    if (points.length === 0) {
      terminal.out(`${item} has no recovery points yet.`);
      return EXIT_OK;
    }
    terminal.out(
      ["POINT".padEnd(26), "TAKEN".padEnd(26), "SOURCE TIME".padEnd(26), "POSITION".padEnd(10), "TYPE"].join(""),
    );
    for (const point of points) {
      const { name } = point;
      if ("damaged" in point) {
        terminal.out(
          [name.padEnd(26), (point.recoveryPointTime ?? "").padEnd(26), `damaged: ${point.damaged.message}`].join(""),
        );
        continue;
      }
      const { recoveryPointTime, sourceTime, position, recoveryPointType } = point;
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
