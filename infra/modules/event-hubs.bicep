metadata description = 'Event hubs: what IoT Hub routes, without keys; and in a namespace of its own the log of DPS, which cannot come without one.'

param location string
param tags object
param name string
param logNamespaceName string
param consumerGroupName string
@minValue(1)
@maxValue(32)
param partitionCount int
@minValue(1)
@maxValue(7)
param retentionDays int
param iotPrincipalId string
param appPrincipalId string
param privateOnly bool

var roles = loadJsonContent('../roles.json')

resource events 'Microsoft.EventHub/namespaces@2024-01-01' = {
  name: name
  location: location
  tags: tags
  sku: {
    name: 'Standard'
    tier: 'Standard'
    capacity: 1
  }
  properties: {
    disableLocalAuth: true
    minimumTlsVersion: '1.2'
    isAutoInflateEnabled: true
    maximumThroughputUnits: 10
    publicNetworkAccess: privateOnly ? 'Disabled' : 'Enabled'
  }
}

resource iotEvents 'Microsoft.EventHub/namespaces/eventhubs@2024-01-01' = {
  parent: events
  name: 'iot-events'
  properties: {
    partitionCount: partitionCount
    messageRetentionInDays: retentionDays
  }
}

resource iotEventsGroup 'Microsoft.EventHub/namespaces/eventhubs/consumergroups@2024-01-01' = {
  parent: iotEvents
  name: consumerGroupName
}

resource connectionEvents 'Microsoft.EventHub/namespaces/eventhubs@2024-01-01' = {
  parent: events
  name: 'connection-events'
  properties: {
    partitionCount: partitionCount
    messageRetentionInDays: 1
  }
}

resource connectionEventsGroup 'Microsoft.EventHub/namespaces/eventhubs/consumergroups@2024-01-01' = {
  parent: connectionEvents
  name: consumerGroupName
}

// Azure Monitor writes resource logs to event hubs by a key alone (Azure docs: diagnostic settings, authorization rule).
// The key lives in this namespace and opens nothing else; Azure Monitor reads it itself, and the app reads by identity.
resource logs 'Microsoft.EventHub/namespaces@2024-01-01' = {
  name: logNamespaceName
  location: location
  tags: tags
  sku: {
    name: 'Standard'
    tier: 'Standard'
    capacity: 1
  }
  properties: {
    disableLocalAuth: false
    minimumTlsVersion: '1.2'
    isAutoInflateEnabled: true
    maximumThroughputUnits: 4
    publicNetworkAccess: privateOnly ? 'Disabled' : 'Enabled'
  }
}

resource dpsEvents 'Microsoft.EventHub/namespaces/eventhubs@2024-01-01' = {
  parent: logs
  name: 'dps-events'
  properties: {
    partitionCount: partitionCount
    messageRetentionInDays: retentionDays
  }
}

resource dpsEventsGroup 'Microsoft.EventHub/namespaces/eventhubs/consumergroups@2024-01-01' = {
  parent: dpsEvents
  name: consumerGroupName
}

resource azureMonitor 'Microsoft.EventHub/namespaces/authorizationRules@2024-01-01' = {
  parent: logs
  name: 'azure-monitor'
  properties: {
    rights: [
      'Listen'
      'Manage'
      'Send'
    ]
  }
}

// IoT Hub and Azure Monitor are trusted services, and reach a closed namespace.
resource eventsRules 'Microsoft.EventHub/namespaces/networkRuleSets@2024-01-01' = if (privateOnly) {
  parent: events
  name: 'default'
  properties: {
    defaultAction: 'Deny'
    publicNetworkAccess: 'Disabled'
    trustedServiceAccessEnabled: true
  }
}

resource logsRules 'Microsoft.EventHub/namespaces/networkRuleSets@2024-01-01' = if (privateOnly) {
  parent: logs
  name: 'default'
  properties: {
    defaultAction: 'Deny'
    publicNetworkAccess: 'Disabled'
    trustedServiceAccessEnabled: true
  }
}

resource hubToIotEvents 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(iotEvents.id, iotPrincipalId, roles.eventHubsDataSender)
  scope: iotEvents
  properties: {
    principalId: iotPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.eventHubsDataSender)
    description: 'IoT Hub routes twin changes and lifecycle events'
  }
}

resource hubToConnectionEvents 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(connectionEvents.id, iotPrincipalId, roles.eventHubsDataSender)
  scope: connectionEvents
  properties: {
    principalId: iotPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.eventHubsDataSender)
    description: 'IoT Hub routes connection events'
  }
}

resource appToEvents 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(events.id, appPrincipalId, roles.eventHubsDataReceiver)
  scope: events
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.eventHubsDataReceiver)
    description: 'The app receives what IoT Hub routes'
  }
}

resource appToLogs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(logs.id, appPrincipalId, roles.eventHubsDataReceiver)
  scope: logs
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.eventHubsDataReceiver)
    description: 'The app receives the log of DPS'
  }
}

output eventsId string = events.id
output eventsName string = events.name
output logsId string = logs.id
output logsName string = logs.name
output iotEventsName string = iotEvents.name
output connectionEventsName string = connectionEvents.name
output dpsEventsName string = dpsEvents.name
output azureMonitorRuleId string = azureMonitor.id
