import { readFileSync } from "node:fs";

/**
 * Loaded into a process before its own program: its wall clock is off by the milliseconds that stand in the file
 * CLOCK_FILE at the moment.
 */
const present = Date.now.bind(Date);
Date.now = () => present() + Number(readFileSync(process.env["CLOCK_FILE"] ?? "", "utf8"));
