/**
 * Where the demo writes: a terminal whose lines can be overwritten, or a file or pipe that gets plain lines without
 * escape codes.
 */
export interface Terminal {
  line(text: string): void;
  /**
   * A stage: shows `title` with the latest text from `report`, then how it ended and how long it took. Returns the
   * result of `work`.
   */
  stage<Result>(title: string, work: (report: (detail: string) => void) => Promise<StageEnd<Result>>): Promise<Result>;
  /** Rows of names and values under a heading, values aligned. */
  table(heading: string, rows: readonly (readonly [name: string, value: string, note?: string])[]): void;
  /** How long each stage took, in order. */
  readonly stages: readonly { readonly title: string; readonly tookMs: number }[];
}

interface StageEnd<Result> {
  readonly result: Result;
  readonly detail: string;
  /** The stage was completed, but with a bad result. */
  readonly failed?: boolean;
}

export interface TerminalOptions {
  readonly write: (text: string) => void;
  readonly isTerminal: boolean;
  readonly columns: number;
  readonly now: () => number;
}

const TITLE_WIDTH = 34;
const BAR_CELLS = 24;

export function createTerminal(options: TerminalOptions): Terminal {
  const { write, isTerminal, now } = options;
  const bad = isTerminal ? "\u001B[31m✗\u001B[0m" : "FAILED";
  const stages: { title: string; tookMs: number }[] = [];
  const paint = (code: string, text: string): string => (isTerminal ? `\u001B[${code}m${text}\u001B[0m` : text);
  // A line longer than the window would wrap, and its first half would remain when it is overwritten.
  const over = (text: string): void => write(`\r\u001B[2K${text.slice(0, options.columns - 1)}`);
  return {
    stages,
    line: (text) => write(`${text}\n`),
    stage: async (title, work) => {
      const startedMs = now();
      const seconds = (): string => `${((now() - startedMs) / 1000).toFixed(1)} s`.padStart(8);
      let detail = "";
      const show = (): void => {
        if (isTerminal) over(`  ·  ${title.padEnd(TITLE_WIDTH)} ${seconds()}  ${detail}`);
      };
      show();
      const timer = setInterval(show, 250);
      timer.unref();
      const finish = (mark: string, text: string): void => {
        clearInterval(timer);
        stages.push({ title, tookMs: now() - startedMs });
        write(
          `${isTerminal ? "\r\u001B[2K" : ""}  ${mark}  ${title.padEnd(TITLE_WIDTH)} ${paint("2", seconds())}  ${text}\n`,
        );
      };
      try {
        const end = await work((text) => {
          detail = text;
          show();
        });
        finish(end.failed === true ? bad : paint("32", isTerminal ? "✓" : "ok"), end.detail);
        return end.result;
      } catch (error) {
        const stopped = error instanceof Error && (error.name === "AbortError" || error.name === "Interrupted");
        if (stopped) finish("-", "stopped");
        else finish(bad, detail);
        throw error;
      }
    },
    table: (heading, rows) => {
      write(`\n  ${paint("1", heading)}\n`);
      const nameWidth = Math.max(...rows.map(([name]) => name.length));
      const valueWidth = Math.max(...rows.map(([, value]) => value.length));
      for (const [name, value, note] of rows) {
        write(
          `    ${name.padEnd(nameWidth)}  ${value.padStart(valueWidth)}${note === undefined ? "" : `  ${paint("2", note)}`}\n`,
        );
      }
    },
  };
}

/** `[########----------------]  33 %` */
export function progressBar(share: number): string {
  const bounded = Math.min(1, Math.max(0, share));
  const full = Math.round(bounded * BAR_CELLS);
  return `[${"#".repeat(full)}${"-".repeat(BAR_CELLS - full)}] ${String(Math.round(bounded * 100)).padStart(3)} %`;
}

export const mebibytes = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(1)} MiB`;
export const secondsText = (milliseconds: number): string => `${(milliseconds / 1000).toFixed(2)} s`;

/** The value below which `share` of the values lie (nearest rank); undefined without values. */
export function percentile(values: readonly number[], share: number): number | undefined {
  const sorted = values.toSorted((left, right) => left - right);
  return sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)];
}
