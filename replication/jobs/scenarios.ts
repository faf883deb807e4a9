import type { Flow } from "../states/states.ts";

interface Scenario {
  readonly scenarioName: string;
  readonly friendlyName: string;
  /** Name and friendly name, in the order in which they begin. */
  readonly tasks: readonly (readonly [string, string])[];
}

/**
 * Every flow as a job: Site Recovery's job types and task names where it has them, otherwise ours. The tasks of flows
 * that are not built yet (`orchestrations/run-flow.ts`) are a design.
 */
export const SCENARIOS: Readonly<Record<Flow, Scenario>> = {
  "enable-protection": {
    scenarioName: "EnableDr",
    friendlyName: "Enable replication",
    tasks: [
      ["CheckPrerequisites", "Prerequisites check for enabling protection"],
      ["CreateTargetResources", "Create target resources"],
      ["InstallMobilityService", "Installing Mobility Service and preparing target"],
      ["RegisterMobilityService", "Waiting for the mobility service to register"],
      ["StartInitialReplication", "Starting initial replication"],
    ],
  },
  "repair-replication": {
    scenarioName: "RepairReplication",
    friendlyName: "Resynchronize",
    tasks: [
      ["CheckPrerequisites", "Prerequisites check for resynchronization"],
      ["OpenStream", "Opening a new stream"],
      ["StartResynchronization", "Starting resynchronization"],
    ],
  },
  "test-failover": {
    scenarioName: "TestFailover",
    friendlyName: "Test failover",
    tasks: [
      ["CheckPrerequisites", "Prerequisites check for test failover"],
      ["ChooseRecoveryPoint", "Choosing the recovery point"],
      ["CreateDisks", "Creating test disks"],
      ["CreateMachine", "Create test virtual machine"],
      ["PrepareMachine", "Preparing the virtual machine"],
      ["StartMachine", "Start the virtual machine"],
    ],
  },
  "test-failover-cleanup": {
    scenarioName: "TestFailoverCleanup",
    friendlyName: "Test failover cleanup",
    tasks: [["RemoveTestEnvironment", "Cleaning up test environment"]],
  },
  "unplanned-failover": {
    scenarioName: "UnplannedFailover",
    friendlyName: "Failover",
    tasks: [
      ["CheckPrerequisites", "Prerequisites check for failover"],
      ["ShutDownSource", "Shut down the virtual machine"],
      ["ChooseRecoveryPoint", "Synchronizing the latest changes"],
      ["CreateDisks", "Start failover"],
      ["CreateMachine", "Create the replica virtual machine"],
      ["StartMachine", "Start the replica virtual machine"],
      ["RemoveTestEnvironment", "Cleaning up test environment"],
    ],
  },
  "planned-failover": {
    scenarioName: "PlannedFailover",
    friendlyName: "Planned failover",
    tasks: [
      ["CheckPrerequisites", "Prerequisites check for planned failover"],
      ["StopWrites", "Stopping writes and uploading the last changes"],
      ["ApplyFinalDelta", "Synchronizing the latest changes"],
      ["ShutDownSource", "Shut down the virtual machine"],
      ["CreateDisks", "Start failover"],
      ["CreateMachine", "Create the replica virtual machine"],
      ["StartMachine", "Start the replica virtual machine"],
      ["RemoveTestEnvironment", "Cleaning up test environment"],
    ],
  },
  "cancel-failover": {
    scenarioName: "CancelFailover",
    friendlyName: "Cancel failover",
    tasks: [
      ["EndFailover", "Ending the running failover"],
      ["RemoveMachine", "Removing the replica virtual machine"],
      ["ResumeSource", "Letting the source write again"],
    ],
  },
  "change-recovery-point": {
    scenarioName: "ChangeRecoveryPoint",
    friendlyName: "Change recovery point",
    tasks: [
      ["ChooseRecoveryPoint", "Choosing the recovery point"],
      ["RemoveMachine", "Removing the replica virtual machine"],
      ["CreateDisks", "Creating disks of the recovery point"],
      ["CreateMachine", "Create the replica virtual machine"],
      ["StartMachine", "Start the replica virtual machine"],
    ],
  },
  "commit-failover": {
    scenarioName: "CommitFailover",
    friendlyName: "Commit",
    tasks: [
      ["CloseStream", "Closing replication from the source"],
      ["RemoveRecoveryPoints", "Removing recovery points"],
    ],
  },
  reprotect: {
    scenarioName: "SwitchProtection",
    friendlyName: "Re-protect",
    tasks: [
      ["CheckPrerequisites", "Prerequisites check for re-protect"],
      ["CreateTargetResources", "Create resources in the original region"],
      ["InstallMobilityService", "Installing Mobility Service and preparing target"],
      ["CompareDisks", "Comparing with the original disks"],
      ["StartInitialReplication", "Starting replication in the opposite direction"],
    ],
  },
  "disable-protection": {
    scenarioName: "DisableDr",
    friendlyName: "Disable replication",
    tasks: [
      ["StopReplication", "Stopping replication"],
      ["RemoveTestEnvironment", "Cleaning up test environment"],
      ["RemoveResources", "Removing resources of the item"],
      ["ProveNothingLeft", "Checking that nothing is left"],
    ],
  },
};
