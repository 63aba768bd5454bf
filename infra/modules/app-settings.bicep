metadata description = 'All that the app is told. What an operator may want to tune stands in ../settings.json; the rest follows from the deployment.'

param appName string
param appClientId string
param tenantId string
param applicationInsightsName string
param hostBlobEndpoint string
param hostQueueEndpoint string
param hostTableEndpoint string
param fleetBlobEndpoint string
param fleetQueueEndpoint string
param fleetTableEndpoint string
param auditBlobEndpoint string
param eventsNamespaceName string
param logsNamespaceName string
param iotEventsName string
param connectionEventsName string
param dpsEventsName string
param consumerGroupName string
param renewalQueueName string
param containmentQueueName string
param operationsQueueName string
@description('Empty where IoT Hub and DPS were there before: whether they have one is not known.')
param adrNamespaceId string
param hubHostName string
param hubId string
param hubSkuName string
param hubUnits int
param dpsServiceHostName string
param dpsId string
param topicEndpoint string
param leafValidityDays int

var tuned = loadJsonContent('../settings.json')
// Azure docs: IoT Hub quotas and throttling, per unit and minute.
var isS3 = startsWith(toUpper(hubSkuName), 'S3') || startsWith(toUpper(hubSkuName), 'B3')
var sendsPerMinute = hubUnits * (isS3 ? 5000 : 100)
var registryRequestsPerMinute = hubUnits * (isS3 ? 5000 : 100)
var queriesPerMinute = hubUnits * (isS3 ? 1000 : 20)

resource app 'Microsoft.Web/sites@2025-03-01' existing = {
  name: appName
}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: applicationInsightsName
}

resource settings 'Microsoft.Web/sites/config@2025-03-01' = {
  parent: app
  name: 'appsettings'
  properties: union(tuned, {
    // the platform
    AzureWebJobsStorage__credential: 'managedidentity'
    AzureWebJobsStorage__clientId: appClientId
    AzureWebJobsStorage__blobServiceUri: hostBlobEndpoint
    AzureWebJobsStorage__queueServiceUri: hostQueueEndpoint
    AzureWebJobsStorage__tableServiceUri: hostTableEndpoint
    APPLICATIONINSIGHTS_CONNECTION_STRING: insights.properties.ConnectionString
    APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${appClientId};Authorization=AAD'
    // The app exports its own lines: the host must not send them a second time. PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY
    // would have the worker load a distribution that the app does not carry.
    PYTHON_ENABLE_OPENTELEMETRY: 'true'
    OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID: appClientId
    WEBSITE_AUTH_AAD_ALLOWED_TENANTS: tenantId
    // the connections of the triggers
    IotEvents__fullyQualifiedNamespace: '${eventsNamespaceName}.servicebus.windows.net'
    IotEvents__credential: 'managedidentity'
    IotEvents__clientId: appClientId
    ConnectionEvents__fullyQualifiedNamespace: '${eventsNamespaceName}.servicebus.windows.net'
    ConnectionEvents__credential: 'managedidentity'
    ConnectionEvents__clientId: appClientId
    DpsEvents__fullyQualifiedNamespace: '${logsNamespaceName}.servicebus.windows.net'
    DpsEvents__credential: 'managedidentity'
    DpsEvents__clientId: appClientId
    FleetStorage__credential: 'managedidentity'
    FleetStorage__clientId: appClientId
    FleetStorage__blobServiceUri: fleetBlobEndpoint
    FleetStorage__queueServiceUri: fleetQueueEndpoint
    FleetStorage__tableServiceUri: fleetTableEndpoint
    // the app
    AZURE_CLIENT_ID: appClientId
    ADR_GENERATION: empty(adrNamespaceId) ? 'none' : '2'
    ADR_NAMESPACE_ID: adrNamespaceId
    ARM_ENDPOINT: environment().resourceManager
    AuditStorage__blobServiceUri: auditBlobEndpoint
    C2D_PER_MINUTE: string(sendsPerMinute)
    CONNECTION_EVENTS: connectionEventsName
    CONTAINMENT: containmentQueueName
    DPS_EVENTS: dpsEventsName
    DPS_RESOURCE_ID: dpsId
    DPS_SERVICE_HOSTNAME: dpsServiceHostName
    EVENTGRID_TOPIC_ENDPOINT: topicEndpoint
    EVENTS_CONSUMER_GROUP: consumerGroupName
    FLEETCERT_TENANT_ID: tenantId
    IOTHUB_HOSTNAME: hubHostName
    IOTHUB_RESOURCE_ID: hubId
    IOT_EVENTS: iotEventsName
    OPERATIONS: operationsQueueName
    POLICY_VALIDITY: 'P${leafValidityDays}D'
    RECONCILE_QUERIES_PER_MINUTE: string(queriesPerMinute)
    REGISTRY_PER_MINUTE: string(registryRequestsPerMinute)
    RENEWAL_COMMANDS: renewalQueueName
  })
}

