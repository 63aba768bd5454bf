metadata description = 'IoT Hub, linked to the ADR namespace, without keys, with the routes that fleetcert reads.'
metadata generation = 'B (2026-05-01-preview); docs/decisions/0008-infrastructure.md says what the next one changes'

param location string
param tags object
param name string
param skuName string
@minValue(1)
param units int
param iotIdentityId string
param iotPrincipalId string
param namespaceId string
param namespacePrincipalId string
param eventsNamespaceName string
param iotEventsName string
param connectionEventsName string
@description('Which twin changes are routed. true: all. docs/deploy.md names a narrower one and what it loses.')
param twinRouteCondition string
@description('Without keys DPS reaches the hub by identity alone, as the preview allows.')
param disableLocalAuth bool
param workspaceId string

var roles = loadJsonContent('../roles.json')
var namespaceRoles = [
  roles.contributor
  roles.iotHubRegistryContributor
]

resource hub 'Microsoft.Devices/IotHubs@2026-05-01-preview' = {
  name: name
  location: location
  tags: tags
  sku: {
    name: skuName
    capacity: units
  }
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${iotIdentityId}': {}
    }
  }
  properties: {
    disableLocalAuth: disableLocalAuth
    minTlsVersion: '1.2'
    publicNetworkAccess: 'Enabled'
    deviceRegistry: {
      namespaceResourceId: namespaceId
      identityResourceId: iotIdentityId
    }
    cloudToDevice: {
      defaultTtlAsIso8601: 'PT1H'
      maxDeliveryCount: 10
      feedback: {
        lockDurationAsIso8601: 'PT1M'
        maxDeliveryCount: 10
        ttlAsIso8601: 'PT1H'
      }
    }
    routing: {
      endpoints: {
        eventHubs: [
          {
            name: 'fleetcert-iot-events'
            authenticationType: 'identityBased'
            identity: {
              userAssignedIdentity: iotIdentityId
            }
            endpointUri: 'sb://${eventsNamespaceName}.servicebus.windows.net'
            entityPath: iotEventsName
          }
          {
            name: 'fleetcert-connection-events'
            authenticationType: 'identityBased'
            identity: {
              userAssignedIdentity: iotIdentityId
            }
            endpointUri: 'sb://${eventsNamespaceName}.servicebus.windows.net'
            entityPath: connectionEventsName
          }
        ]
      }
      routes: [
        {
          name: 'fleetcert-twin-changes'
          source: 'TwinChangeEvents'
          condition: twinRouteCondition
          endpointNames: ['fleetcert-iot-events']
          isEnabled: true
        }
        {
          name: 'fleetcert-device-lifecycle'
          source: 'DeviceLifecycleEvents'
          condition: 'true'
          endpointNames: ['fleetcert-iot-events']
          isEnabled: true
        }
        {
          name: 'fleetcert-connection-state'
          source: 'DeviceConnectionStateEvents'
          condition: 'true'
          endpointNames: ['fleetcert-connection-events']
          isEnabled: true
        }
      ]
      // Where there is a route, messages that match none are dropped without this one.
      fallbackRoute: {
        name: '$fallback'
        source: 'DeviceMessages'
        condition: 'true'
        endpointNames: ['events']
        isEnabled: true
      }
    }
  }
}

resource namespaceToHub 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in namespaceRoles: {
    name: guid(hub.id, namespacePrincipalId, role)
    scope: hub
    properties: {
      principalId: namespacePrincipalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
      description: 'The ADR namespace: CA certificates and device identities of the hub'
    }
  }
]

// No document names the least role for this; a narrower one was not tried.
resource dpsToHub 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(hub.id, iotPrincipalId, roles.iotHubDataContributor)
  scope: hub
  properties: {
    principalId: iotPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.iotHubDataContributor)
    description: 'DPS: makes device identities in the linked hub'
  }
}

// Connections and C2DCommands are left out: at a million devices their log would cost more than all the rest.
resource diagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'fleetcert'
  scope: hub
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'DeviceIdentityOperations'
        enabled: true
      }
      {
        category: 'Routes'
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

output name string = hub.name
