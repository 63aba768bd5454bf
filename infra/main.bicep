metadata description = 'fleetcert, whole: the app with its storage and event hubs in one group, IoT Hub with DPS and ADR in another.'

targetScope = 'subscription'

@minLength(1)
@maxLength(40)
@description('Name of the azd environment; in the names of both resource groups and, hashed, of all resources.')
param environmentName string

@description('Where everything is. The preview of ADR and certificate management has these regions.')
@allowed(['eastus', 'eastus2', 'westus', 'westus2', 'westeurope', 'northeurope'])
@metadata({ azd: { type: 'location' } })
param location string

@minLength(36)
@maxLength(36)
@description('Client id of the app registration that callers get tokens for. hooks/preprovision makes it.')
param authClientId string

@description('Object id of whoever deploys; may read the fleet and make the enrollment group. Empty: nobody.')
param principalId string = ''

@description('Object id, in this tenant, of the first-party application IoT Hub (89d10474-74af-4874-99a7-c23c2f643083).')
param iotHubServicePrincipalObjectId string = ''

@description('Who is paged by e-mail. Empty: nobody, and the rules fire unheard.')
param alertEmail string = ''

@secure()
@description('A webhook that is called beside the e-mail when a rule fires.')
param alertWebhookUrl string = ''

@secure()
@description('A webhook that gets the alerts for machines (CloudEvents), beside the queue.')
param eventsWebhookUrl string = ''

@description('Where docs/runbooks/ can be read, with a slash at the end.')
param runbookBaseUrl string = ''

@allowed(['S1', 'S2', 'S3', 'F1', 'GEN2'])
param iotHubSku string = 'S1'

@description('Units of IoT Hub, as text: azd hands parameters over as text.')
param iotHubUnits string = '1'

@description('Whether IoT Hub refuses keys. The preview lets DPS come by identity; set it to false where devices fail to be made.')
param iotHubDisableLocalAuth bool = true

@description('Which twin changes are routed; true: all.')
param twinRouteCondition string = 'true'

@description('Life of an operational certificate in days, 7 to 90, as text.')
param leafValidityDays string = '30'

@description('How long the audit is kept at least, in days, as text.')
param auditRetentionDays string = '400'

@description('Set by hooks/lock-audit once the policy is locked.')
param auditLocked bool = false

@allowed(['Standard_LRS', 'Standard_ZRS'])
param fleetStorageSku string = 'Standard_ZRS'

@description('Partitions of each event hub, as text; they can not be changed later.')
param eventHubPartitions string = '4'

@description('Closes storage, event hubs and topic to all but a network of their own.')
param vnetEnabled bool = false

@description('An IoT hub and a DPS that are there already, both or neither, in one group of this subscription. No new ones are made then.')
param existingIotHubName string = ''
param existingDpsName string = ''
param existingIotResourceGroup string = ''

var token = toLower(uniqueString(subscription().id, environmentName, location))
var tuned = loadJsonContent('./settings.json')
var tags = union(loadJsonContent('./tags.json'), {
  'azd-env-name': environmentName
  application: 'fleetcert'
})
var makesIot = empty(existingIotHubName)
var tenantId = tenant().tenantId
var packageContainerName = 'app-package'
var consumerGroupName = 'fleetcert'
var renewalQueueName = 'renewal-commands'
var containmentQueueName = 'containment'
var operationsQueueName = 'operations'
var hubName = makesIot ? 'iot-${token}' : existingIotHubName
var dpsName = makesIot ? 'provs-${token}' : existingDpsName
var iotGroupName = makesIot ? 'rg-${environmentName}-iot' : existingIotResourceGroup

resource group 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: 'rg-${environmentName}'
  location: location
  tags: tags
}

resource iotGroup 'Microsoft.Resources/resourceGroups@2025-04-01' = if (makesIot) {
  name: 'rg-${environmentName}-iot'
  location: location
  tags: union(tags, { 'azd-env-name': '${environmentName}-iot' })
}

module identity './modules/identity.bicep' = {
  name: 'identity'
  scope: group
  params: {
    location: location
    tags: tags
    token: token
  }
}

module customRoles './modules/custom-roles.bicep' = {
  name: 'fleetcert-custom-roles-${token}'
  params: {
    environmentName: environmentName
    token: token
  }
}

module hostStorage './modules/host-storage.bicep' = {
  name: 'host-storage'
  scope: group
  params: {
    location: location
    tags: tags
    name: 'sthost${token}'
    packageContainerName: packageContainerName
    appPrincipalId: identity.outputs.appPrincipalId
    privateOnly: vnetEnabled
  }
}

module fleetStorage './modules/fleet-storage.bicep' = {
  name: 'fleet-storage'
  scope: group
  params: {
    location: location
    tags: tags
    name: 'stfleet${token}'
    skuName: fleetStorageSku
    tableName: tuned.FLEET_TABLE
    workQueueNames: [
      renewalQueueName
      containmentQueueName
      operationsQueueName
    ]
    deadLetterContainerName: tuned.DEAD_LETTERS
    inventoryContainerName: tuned.INVENTORY
    exportContainerName: tuned.EXPORTS
    alertQueueName: 'alerts'
    undeliveredContainerName: 'undelivered-alerts'
    appPrincipalId: identity.outputs.appPrincipalId
    eventsPrincipalId: identity.outputs.eventsPrincipalId
    operatorPrincipalId: principalId
    privateOnly: vnetEnabled
  }
}

module auditStorage './modules/audit-storage.bicep' = {
  name: 'audit-storage'
  scope: group
  params: {
    location: location
    tags: tags
    name: 'staudit${token}'
    containerName: tuned.AUDIT
    retentionDays: int(auditRetentionDays)
    isLocked: auditLocked
    appPrincipalId: identity.outputs.appPrincipalId
    appendRoleName: customRoles.outputs.auditAppendName
    operatorPrincipalId: principalId
    privateOnly: vnetEnabled
  }
}

module eventHubs './modules/event-hubs.bicep' = {
  name: 'event-hubs'
  scope: group
  params: {
    location: location
    tags: tags
    name: 'evhns-${token}'
    logNamespaceName: 'evhns-log-${token}'
    consumerGroupName: consumerGroupName
    partitionCount: int(eventHubPartitions)
    retentionDays: 7
    iotPrincipalId: identity.outputs.iotPrincipalId
    appPrincipalId: identity.outputs.appPrincipalId
    privateOnly: vnetEnabled
  }
}

module monitoring './modules/monitoring.bicep' = {
  name: 'monitoring'
  scope: group
  params: {
    location: location
    tags: tags
    workspaceName: 'log-${token}'
    applicationInsightsName: 'appi-${token}'
    actionGroupName: 'ag-${token}'
    alertEmail: alertEmail
    alertWebhookUrl: alertWebhookUrl
    appPrincipalId: identity.outputs.appPrincipalId
    eventsNamespaceName: eventHubs.outputs.eventsName
  }
}

module alerts './modules/alerts.bicep' = {
  name: 'alerts'
  scope: group
  params: {
    location: location
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
    actionGroupId: monitoring.outputs.actionGroupId
    runbookBaseUrl: runbookBaseUrl
  }
}

module adr './modules/adr.bicep' = if (makesIot) {
  name: 'adr'
  scope: iotGroup
  params: {
    location: location
    tags: tags
    namespaceName: 'adr-${token}'
    policyName: 'default'
    leafValidityDays: int(leafValidityDays)
    iotPrincipalId: identity.outputs.iotPrincipalId
    iotHubServicePrincipalObjectId: iotHubServicePrincipalObjectId
    appPrincipalId: identity.outputs.appPrincipalId
    registryAccessRoleName: customRoles.outputs.registryAccessName
  }
}

module iotHub './modules/iothub.bicep' = if (makesIot) {
  name: 'iothub'
  scope: iotGroup
  params: {
    location: location
    tags: tags
    name: hubName
    skuName: iotHubSku
    units: int(iotHubUnits)
    iotIdentityId: identity.outputs.iotId
    iotPrincipalId: identity.outputs.iotPrincipalId
    namespaceId: makesIot ? adr.outputs.namespaceId : ''
    namespacePrincipalId: makesIot ? adr.outputs.namespacePrincipalId : ''
    eventsNamespaceName: eventHubs.outputs.eventsName
    iotEventsName: eventHubs.outputs.iotEventsName
    connectionEventsName: eventHubs.outputs.connectionEventsName
    twinRouteCondition: twinRouteCondition
    disableLocalAuth: iotHubDisableLocalAuth
    workspaceId: monitoring.outputs.workspaceId
  }
}

module dps './modules/dps.bicep' = if (makesIot) {
  name: 'dps'
  scope: iotGroup
  dependsOn: [iotHub]
  params: {
    location: location
    tags: tags
    name: dpsName
    hubHostName: '${hubName}.azure-devices.net'
    iotIdentityId: identity.outputs.iotId
    namespaceId: makesIot ? adr.outputs.namespaceId : ''
    operatorPrincipalId: principalId
    workspaceId: monitoring.outputs.workspaceId
    logEventHubName: eventHubs.outputs.dpsEventsName
    logRuleId: eventHubs.outputs.azureMonitorRuleId
  }
}

module deviceAccess './modules/device-access.bicep' = {
  name: 'device-access-${token}'
  scope: resourceGroup(iotGroupName)
  dependsOn: [
    iotHub
    dps
  ]
  params: {
    hubName: hubName
    dpsName: dpsName
    deviceAccessRoleName: customRoles.outputs.deviceAccessName
    appPrincipalId: identity.outputs.appPrincipalId
  }
}

module eventGrid './modules/event-grid.bicep' = {
  name: 'event-grid'
  scope: group
  params: {
    location: location
    tags: tags
    name: 'evgt-${token}'
    eventsIdentityId: identity.outputs.eventsId
    appPrincipalId: identity.outputs.appPrincipalId
    storageId: fleetStorage.outputs.id
    alertQueueName: fleetStorage.outputs.alertQueueName
    undeliveredContainerName: fleetStorage.outputs.undeliveredContainerName
    webhookUrl: eventsWebhookUrl
    privateOnly: vnetEnabled
  }
}

module virtualNetwork './modules/virtual-network.bicep' = if (vnetEnabled) {
  name: 'virtual-network'
  scope: group
  params: {
    location: location
    tags: tags
    token: token
  }
}

module network './modules/network.bicep' = if (vnetEnabled) {
  name: 'network'
  scope: group
  dependsOn: [virtualNetwork]
  params: {
    location: location
    tags: tags
    token: token
    hostStorageId: hostStorage.outputs.id
    fleetStorageId: fleetStorage.outputs.id
    auditStorageId: auditStorage.outputs.id
    eventsId: eventHubs.outputs.eventsId
    logsId: eventHubs.outputs.logsId
    topicId: eventGrid.outputs.id
  }
}

module functionApp './modules/function-app.bicep' = {
  name: 'function-app'
  scope: group
  dependsOn: [network]
  params: {
    location: location
    tags: tags
    serviceName: 'app'
    name: 'func-${token}'
    planName: 'plan-${token}'
    identityId: identity.outputs.appId
    hostBlobEndpoint: hostStorage.outputs.blobEndpoint
    packageContainerName: packageContainerName
    instanceMemoryMB: 2048
    maximumInstanceCount: 100
    subnetId: vnetEnabled ? virtualNetwork.outputs.appSubnetId : ''
  }
}

// Before anything that could answer: an app without it believes nobody, and one with it is called by nobody else.
module authentication './modules/authentication.bicep' = {
  name: 'authentication'
  scope: group
  params: {
    appName: functionApp.outputs.name
    clientId: authClientId
    tenantId: tenantId
  }
}

module appSettings './modules/app-settings.bicep' = {
  name: 'app-settings'
  scope: group
  dependsOn: [authentication]
  params: {
    appName: functionApp.outputs.name
    appClientId: identity.outputs.appClientId
    tenantId: tenantId
    applicationInsightsName: monitoring.outputs.applicationInsightsName
    hostBlobEndpoint: hostStorage.outputs.blobEndpoint
    hostQueueEndpoint: hostStorage.outputs.queueEndpoint
    hostTableEndpoint: hostStorage.outputs.tableEndpoint
    fleetBlobEndpoint: fleetStorage.outputs.blobEndpoint
    fleetQueueEndpoint: fleetStorage.outputs.queueEndpoint
    fleetTableEndpoint: fleetStorage.outputs.tableEndpoint
    auditBlobEndpoint: auditStorage.outputs.blobEndpoint
    eventsNamespaceName: eventHubs.outputs.eventsName
    logsNamespaceName: eventHubs.outputs.logsName
    iotEventsName: eventHubs.outputs.iotEventsName
    connectionEventsName: eventHubs.outputs.connectionEventsName
    dpsEventsName: eventHubs.outputs.dpsEventsName
    consumerGroupName: consumerGroupName
    renewalQueueName: renewalQueueName
    containmentQueueName: containmentQueueName
    operationsQueueName: operationsQueueName
    adrNamespaceId: makesIot ? adr.outputs.namespaceId : ''
    hubHostName: deviceAccess.outputs.hubHostName
    hubId: deviceAccess.outputs.hubId
    hubSkuName: deviceAccess.outputs.hubSkuName
    hubUnits: deviceAccess.outputs.hubUnits
    dpsServiceHostName: deviceAccess.outputs.dpsServiceHostName
    dpsId: deviceAccess.outputs.dpsId
    topicEndpoint: eventGrid.outputs.endpoint
    leafValidityDays: int(leafValidityDays)
  }
}

output AZURE_LOCATION string = location
output AZURE_TENANT_ID string = tenantId
output AZURE_RESOURCE_GROUP string = group.name
output FLEETCERT_IOT_RESOURCE_GROUP string = iotGroupName
output FLEETCERT_MAKES_IOT bool = makesIot
output FLEETCERT_APP_NAME string = functionApp.outputs.name
output FLEETCERT_APP_HOSTNAME string = functionApp.outputs.hostName
output FLEETCERT_APP_PRINCIPAL_ID string = identity.outputs.appPrincipalId
output FLEETCERT_IOT_IDENTITY_ID string = identity.outputs.iotId
output FLEETCERT_HUB_NAME string = hubName
output FLEETCERT_DPS_NAME string = dpsName
output FLEETCERT_DPS_HOSTNAME string = deviceAccess.outputs.dpsServiceHostName
output FLEETCERT_DPS_ID_SCOPE string = deviceAccess.outputs.dpsIdScope
output FLEETCERT_ADR_NAMESPACE_ID string = makesIot ? adr.outputs.namespaceId : ''
output FLEETCERT_ADR_POLICY string = makesIot ? adr.outputs.policyName : ''
output FLEETCERT_FLEET_STORAGE string = fleetStorage.outputs.name
output FLEETCERT_AUDIT_STORAGE string = auditStorage.outputs.name
output FLEETCERT_AUDIT_CONTAINER string = tuned.AUDIT
output FLEETCERT_EVENTS_NAMESPACE string = eventHubs.outputs.eventsName
output FLEETCERT_WORKSPACE string = monitoring.outputs.workspaceCustomerId
output FLEETCERT_LOGS_NAMESPACE string = eventHubs.outputs.logsName
