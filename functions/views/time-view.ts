/**
 * What the API shows: times in ISO 8601, durations in minutes where Site Recovery has minutes, and never a token or its
 * hash (rule 8).
 */
export const timeView = (timeMs: number): string => new Date(timeMs).toISOString();

export const optionalTimeView = (timeMs: number | undefined): string | undefined =>
  timeMs === undefined ? undefined : timeView(timeMs);
