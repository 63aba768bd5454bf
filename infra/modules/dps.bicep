metadata description = 'DPS, linked to the hub and to the ADR namespace by identity, with its log on its way to the app.'
metadata generation = 'B (2026-03-01-preview); docs/decisions/0008-infrastructure.md says what the next one changes'

param location string
param tags object
param name string
param hubHostName string
param iotIdentityId string
param namespaceId string
param operatorPrincipalId string
param workspaceId string
param logEventHubName string
param logRuleId string

var roles = loadJsonContent('../roles.json')

resource dps 'Microsoft.Devices/provisioningServices@2026-03-01-preview' = {
  name: name
  location: location
  tags: tags
  sku: {
    name: 'S1'
    capacity: 1
  }
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${iotIdentityId}': {}
    }
  }
  properties: {
    allocationPolicy: 'Hashed'
    publicNetworkAccess: 'Enabled'
    iotHubs: [
      {
        hostName: hubHostName
        authenticationType: 'UserAssigned'
        selectedUserAssignedIdentityResourceId: iotIdentityId
        location: location
        applyAllocationPolicy: true
        allocationWeight: 1
      }
    ]
    deviceRegistryNamespace: {
      resourceId: namespaceId
      authenticationType: 'UserAssigned'
      selectedUserAssignedIdentityResourceId: iotIdentityId
    }
  }
}

resource operatorAccess 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(operatorPrincipalId)) {
  name: guid(dps.id, operatorPrincipalId, roles.deviceProvisioningServiceDataContributor)
  scope: dps
  properties: {
    principalId: operatorPrincipalId
    roleDefinitionId: subscriptionResourceId(
      'Microsoft.Authorization/roleDefinitions',
      roles.deviceProvisioningServiceDataContributor
    )
    description: 'Whoever deployed: the enrollment group, which a hook makes'
  }
}

resource log 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'fleetcert'
  scope: dps
  properties: {
    eventHubAuthorizationRuleId: logRuleId
    eventHubName: logEventHubName
    logs: [
      {
        category: 'DeviceOperations'
        enabled: true
      }
    ]
  }
}

resource operations 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'fleetcert-operations'
  scope: dps
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'ServiceOperations'
        enabled: true
      }
    ]
    metrics: [
      {
        category: 'AllMetrics'
        enabled: true
      }
    ]
  }
}

output name string = dps.name
output idScope string = dps.properties.idScope
