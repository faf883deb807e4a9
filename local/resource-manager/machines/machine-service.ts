export interface MobilityOptions {
  readonly itemId: string;
  /** Of the function app, with `/api`. */
  readonly apiUrl: string;
  /** The one-time token; undefined when this folder's service has registered before. */
  readonly registrationToken: string | undefined;
  readonly disks: readonly { readonly id: string; readonly path: string }[];
  /** Holds the service's configuration, its state and its socket. */
  readonly folder: string;
  readonly logFolder: string;
  readonly nbdPort: number | undefined;
  readonly epochMaxAgeMs: number;
  readonly heartbeatMs: number;
  /** Every VM of the local cloud is a machine of its own, whatever this one is. Undefined: named after the item. */
  readonly machineId?: string | undefined;
  readonly appConsistencyScript?: string | undefined;
  readonly freezeMaxMs?: number | undefined;
  /** Hears of its deaths, after each of which it is started again; undefined: then it stays down. */
  readonly say?: ((text: string) => void) | undefined;
  /** Aborting it ends the start. */
  readonly signal?: AbortSignal | undefined;
}

/** The mobility service of one VM, a process of its own. */
export interface MobilityService {
  readonly address:
    | { readonly kind: "unix"; readonly path: string }
    | { readonly kind: "tcp"; readonly host: string; readonly port: number };
  readonly tcpPort: number | undefined;
  readonly running: boolean;
  readonly state: "running" | "restarting" | "down" | "stopped";
  readonly pid: number;
  /** Closes the open epoch now. */
  cut(): void;
  /** What the service last wrote about itself, undefined before the first time. */
  status(): Promise<Readonly<Record<string, unknown>> | undefined>;
  stop(): Promise<void>;
  kill(): Promise<void>;
}
