import { parseArgs } from "node:util";
import { LeewardError } from "../../replication/errors.ts";
import { FIXED_PORTS, PORT_OPTIONS, type CloudPorts } from "../supervisor/ports.ts";

export interface StartOptions {
  /** The user's own raw images; empty: the lab VM. */
  readonly images: readonly string[];
  /** Whether a guest writes to the lab VM; never to the user's images. */
  readonly writer: boolean;
  readonly ports: CloudPorts;
  /** Where the events of the topic are delivered; undefined: nowhere. */
  readonly eventWebhook: string | undefined;
}

const USAGE = `Usage: npm start -- [--disk IMAGE ...] [--no-writer] [--event-webhook URL] ${Object.values(PORT_OPTIONS)
  .map((option) => `[${option} PORT]`)
  .join(" ")}`;

/** Errors: `configuration-invalid` with the usage. */
export function parseStartOptions(parameters: readonly string[]): StartOptions {
  const portNames = Object.values(PORT_OPTIONS).map((option) => option.slice(2));
  let values: Readonly<Record<string, unknown>>;
  try {
    ({ values } = parseArgs({
      args: [...parameters],
      options: {
        disk: { type: "string", multiple: true },
        "no-writer": { type: "boolean" },
        "event-webhook": { type: "string" },
        ...Object.fromEntries(portNames.map((name) => [name, { type: "string" as const }])),
      },
    }));
  } catch (error) {
    throw usage(error instanceof Error ? error.message : String(error));
  }
  const images = Array.isArray(values["disk"]) ? values["disk"].map(String) : [];
  const given = (name: keyof typeof FIXED_PORTS): unknown => values[PORT_OPTIONS[name].slice(2)];
  const port = (name: Exclude<keyof typeof FIXED_PORTS, "nbd">): number =>
    portOf(PORT_OPTIONS[name], given(name), FIXED_PORTS[name]);
  return {
    images,
    writer: images.length === 0 && values["no-writer"] !== true,
    ports: {
      app: port("app"),
      cacheBlob: port("cacheBlob"),
      cacheQueue: port("cacheQueue"),
      targetBlob: port("targetBlob"),
      targetQueue: port("targetQueue"),
      resourceManager: port("resourceManager"),
      eventTopic: port("eventTopic"),
      nbd: given("nbd") === undefined ? FIXED_PORTS.nbd : portOf(PORT_OPTIONS.nbd, given("nbd"), 0),
    },
    eventWebhook: webhookOf(values["event-webhook"]),
  };
}

function portOf(option: string, given: unknown, otherwise: number): number {
  if (given === undefined) return otherwise;
  const port = Number(given);
  // No free ports here: state kept between starts holds absolute addresses.
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw usage(`${option} takes a port from 1 to 65535.`);
  return port;
}

function webhookOf(given: unknown): string | undefined {
  if (given === undefined) return undefined;
  if (typeof given === "string" && /^https?:$/.test(URL.parse(given)?.protocol ?? "")) return given;
  throw usage("--event-webhook takes an http or https address.");
}

function usage(message: string): LeewardError {
  return new LeewardError("configuration-invalid", message, {}, { hint: USAGE });
}
