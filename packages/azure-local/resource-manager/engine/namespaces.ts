/**
 * Resource providers that Azure has and this cloud lacks, so that the answer does not deny that they exist. From the
 * list of providers by service (learn.microsoft.com, azure-services-resource-providers).
 */
const OTHERS: readonly string[] = [
  "AAD AlertsManagement ApiManagement App AppConfiguration AppPlatform Attestation Authorization Automation AzureActiveDirectory",
  "AzureArcData AzureStackHCI Batch Billing BotService Cache Capacity Cdn CertificateRegistration Chaos ClassicCompute",
  "ClassicNetwork ClassicStorage CognitiveServices Communication Confluent ConnectedVMwarevSphere Consumption",
  "ContainerInstance ContainerRegistry ContainerService CostManagement CustomProviders DBforMariaDB DBforMySQL",
  "DBforPostgreSQL Dashboard DataBox DataBoxEdge DataFactory DataLakeAnalytics DataLakeStore DataMigration DataProtection",
  "DataReplication DataShare Databricks DesktopVirtualization DevCenter DevTestLab Devices DigitalTwins DocumentDB",
  "DomainRegistration DurableTask ElasticSan EventGrid EventHub ExtendedLocation Features GuestConfiguration HDInsight",
  "HealthBot HealthcareApis HybridCompute HybridConnectivity HybridKubernetes HybridNetwork Insights IoTCentral KeyVault",
  "Kubernetes KubernetesConfiguration Kusto LabServices LoadTestService Logic MachineLearningServices Maintenance",
  "ManagedIdentity ManagedNetworkFabric ManagedServices Management Maps Marketplace MarketplaceOrdering Migrate",
  "MixedReality Monitor NetApp NetworkCloud NetworkFunction NotificationHubs OffAzure OperationalInsights",
  "OperationsManagement Peering PolicyInsights Portal PowerBI PowerBIDedicated Purview Quota RecoveryServices",
  "RedHatOpenShift Relay ResourceConnector ResourceGraph ResourceHealth SaaS Scheduler Search Security SecurityInsights",
  "SerialConsole ServiceBus ServiceFabric ServiceLinker SignalRService Solutions Sql SqlVirtualMachine StorSimple",
  "StorageActions StorageCache StorageMover StorageSync StreamAnalytics Subscription Support Synapse TimeSeriesInsights",
  "VMwareCloudSimple VideoIndexer VirtualMachineImages VisualStudio Web WindowsIoT Workloads",
].flatMap((line) => line.split(" ").map((name) => `microsoft.${name.toLowerCase()}`));

export const isForeignNamespace = (namespace: string): boolean => OTHERS.includes(namespace.toLowerCase());
