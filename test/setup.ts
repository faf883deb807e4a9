import { configureGlobal, readConfigureGlobal } from "fast-check";

/** A failing property prints its seed; `FC_SEED=<seed>` replays it, in every test file alike. */
const given = process.env["FC_SEED"];
if (given !== undefined) configureGlobal({ ...readConfigureGlobal(), seed: Number(given) });
