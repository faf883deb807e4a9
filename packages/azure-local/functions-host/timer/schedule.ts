import { Cron } from "croner";
import { LocalError } from "../../errors.ts";
import { parseTimeSpan } from "../host-json.ts";

/** When a timer fires. Times are Unix milliseconds, schedules are in UTC as on Azure. */
export interface Schedule {
  readonly text: string;
  /** The first occurrence after `afterMs`. */
  next(afterMs: number): number;
}

/** Two occurrences within this time: the real host keeps no status of such timers. */
const FREQUENT_MS = 60_000;

/**
 * Parses a timer's schedule: NCRONTAB with six fields (seconds first) or five (second 0), or a time span `hh:mm:ss`,
 * the pause between two runs. In NCRONTAB the day of the month and the day of the week must both match, unlike in cron.
 * Cron's `L`, `W`, `#`, `?`, nicknames and day 7 do not exist there and are `configuration-invalid`.
 */
export function parseSchedule(text: string, functionName: string): Schedule {
  const wrong = (reason: string): LocalError =>
    new LocalError("configuration-invalid", `Function ${functionName}: the schedule "${text}" ${reason}.`, {
      function: functionName,
    });
  const fields = text.trim().split(/\s+/);
  if (fields.length === 1) {
    const intervalMs = parseTimeSpan(text.trim());
    if (intervalMs === undefined || intervalMs === 0) throw wrong("is neither NCRONTAB nor a time span");
    return { text, next: (afterMs) => afterMs + intervalMs };
  }
  const six = fields.length === 5 ? ["0", ...fields] : fields;
  if (six.length !== 6) throw wrong("has neither five nor six fields");
  six.forEach((field, index) => {
    if (!isField(field, FIELDS[index])) throw wrong(`has a wrong field "${field}"`);
  });
  // In NCRONTAB steps after a single number ("5/15") count to the end of the range; croner calls that "sloppy".
  const cron = new Cron(six.join(" "), {
    paused: true,
    mode: "6-part",
    domAndDow: true,
    sloppyRanges: true,
    timezone: "UTC",
  });
  return {
    text,
    next(afterMs) {
      const occurrence = cron.nextRun(new Date(afterMs));
      if (occurrence === null) throw wrong("never fires");
      return occurrence.getTime();
    },
  };
}

/** True when a timer fires more than once a minute: past-due detection is then off. */
export function isFrequent(schedule: Schedule, nowMs: number): boolean {
  return schedule.next(schedule.next(nowMs)) < nowMs + FREQUENT_MS;
}

interface Field {
  readonly lowest: number;
  readonly highest: number;
  readonly names: readonly string[];
}

const NO_NAMES: readonly string[] = [];
const MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
const FIELDS: readonly Field[] = [
  { lowest: 0, highest: 59, names: NO_NAMES },
  { lowest: 0, highest: 59, names: NO_NAMES },
  { lowest: 0, highest: 23, names: NO_NAMES },
  { lowest: 1, highest: 31, names: NO_NAMES },
  { lowest: 1, highest: 12, names: MONTHS },
  { lowest: 0, highest: 6, names: DAYS },
];

function isField(text: string, field: Field | undefined): boolean {
  if (field === undefined) return false;
  return text.split(",").every((part) => {
    const match = /^(?:\*|([0-9]{1,2}|[A-Z]{3})(?:-([0-9]{1,2}|[A-Z]{3}))?)(?:\/([0-9]{1,2}))?$/i.exec(part);
    if (match === null || (match[3] !== undefined && Number(match[3]) < 1)) return false;
    if (match[1] === undefined) return true;
    const [start, end] = [valueOf(match[1], field), valueOf(match[2] ?? match[1], field)];
    return start !== undefined && end !== undefined && start <= end;
  });
}

function valueOf(text: string, { lowest, highest, names }: Field): number | undefined {
  const named = names.indexOf(text.toUpperCase());
  const value = named >= 0 ? named + lowest : Number(text);
  return value >= lowest && value <= highest ? value : undefined;
}
