import { nodeFiles } from "../../mobility/system/node-files.ts";
import { describeFiles } from "../contracts/files.ts";
import { temporaryFolder } from "./temporary.ts";

describeFiles("of the machine", () => ({ files: nodeFiles(), folder: temporaryFolder() }));
