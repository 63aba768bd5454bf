metadata description = 'The storage account of the fleet: the table, the work queues, dead letters, inventories, exports, and the queue that Event Grid fills.'

param location string
param tags object
@minLength(3)
@maxLength(24)
param name string
@description('LRS keeps three copies in one data centre, ZRS one in each of three zones.')
@allowed(['Standard_LRS', 'Standard_ZRS'])
param skuName string
param tableName string
param workQueueNames array
param deadLetterContainerName string
param inventoryContainerName string
param exportContainerName string
param alertQueueName string
param undeliveredContainerName string
param appPrincipalId string
param eventsPrincipalId string
param operatorPrincipalId string
param privateOnly bool

var roles = loadJsonContent('../roles.json')
var appRoles = [
  roles.storageTableDataContributor
  roles.storageQueueDataContributor
  roles.storageBlobDataContributor
]
var operatorRoles = [
  roles.storageTableDataReader
  roles.storageBlobDataReader
]

resource account 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: skuName
  }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    publicNetworkAccess: privateOnly ? 'Disabled' : 'Enabled'
    supportsHttpsTrafficOnly: true
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: privateOnly ? 'Deny' : 'Allow'
    }
  }
}

resource tables 'Microsoft.Storage/storageAccounts/tableServices@2025-06-01' = {
  parent: account
  name: 'default'
}

resource table 'Microsoft.Storage/storageAccounts/tableServices/tables@2025-06-01' = {
  parent: tables
  name: tableName
}

resource queues 'Microsoft.Storage/storageAccounts/queueServices@2025-06-01' = {
  parent: account
  name: 'default'
}

resource workQueues 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-06-01' = [
  for queue in workQueueNames: {
    parent: queues
    name: queue
  }
]

resource alertQueue 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-06-01' = {
  parent: queues
  name: alertQueueName
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2025-06-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: {
      enabled: true
      days: 14
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: 14
    }
  }
}

resource deadLetters 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = {
  parent: blobs
  name: deadLetterContainerName
  properties: {
    publicAccess: 'None'
  }
}

resource inventory 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = {
  parent: blobs
  name: inventoryContainerName
  properties: {
    publicAccess: 'None'
  }
}

resource exports 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = {
  parent: blobs
  name: exportContainerName
  properties: {
    publicAccess: 'None'
  }
}

resource undelivered 'Microsoft.Storage/storageAccounts/blobServices/containers@2025-06-01' = {
  parent: blobs
  name: undeliveredContainerName
  properties: {
    publicAccess: 'None'
  }
}

resource appAccess 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in appRoles: {
    name: guid(account.id, appPrincipalId, role)
    scope: account
    properties: {
      principalId: appPrincipalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
      description: 'The app: table, work and poison queues, dead letters, inventories, exports'
    }
  }
]

resource eventsToQueue 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(alertQueue.id, eventsPrincipalId, roles.storageQueueDataMessageSender)
  scope: alertQueue
  properties: {
    principalId: eventsPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      roles.storageQueueDataMessageSender
    )
    description: 'Event Grid delivers alerts to the queue'
  }
}

resource eventsToContainer 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(undelivered.id, eventsPrincipalId, roles.storageBlobDataContributor)
  scope: undelivered
  properties: {
    principalId: eventsPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.storageBlobDataContributor)
    description: 'Event Grid keeps what it cannot deliver'
  }
}

resource operatorAccess 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in operatorRoles: if (!empty(operatorPrincipalId)) {
    name: guid(account.id, operatorPrincipalId, role)
    scope: account
    properties: {
      principalId: operatorPrincipalId
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
      description: 'Whoever deployed: backup, reconcile status, dead letters, all read-only'
    }
  }
]

output id string = account.id
output name string = account.name
output blobEndpoint string = account.properties.primaryEndpoints.blob
output queueEndpoint string = account.properties.primaryEndpoints.queue
output tableEndpoint string = account.properties.primaryEndpoints.table
output alertQueueName string = alertQueue.name
output undeliveredContainerName string = undelivered.name
