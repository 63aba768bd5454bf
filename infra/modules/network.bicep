metadata description = 'The private way: a network that the app calls out from, and endpoints in it for all that holds data.'

param location string
param tags object
param token string
param hostStorageId string
param fleetStorageId string
param auditStorageId string
param eventsId string
param logsId string
param topicId string

var storageSuffix = environment().suffixes.storage
var zones = {
  blob: 'privatelink.blob.${storageSuffix}'
  queue: 'privatelink.queue.${storageSuffix}'
  table: 'privatelink.table.${storageSuffix}'
  namespace: 'privatelink.servicebus.windows.net'
  topic: 'privatelink.eventgrid.azure.net'
}
var endpoints = [
  { name: 'host-blob', target: hostStorageId, group: 'blob' }
  { name: 'host-queue', target: hostStorageId, group: 'queue' }
  { name: 'host-table', target: hostStorageId, group: 'table' }
  { name: 'fleet-blob', target: fleetStorageId, group: 'blob' }
  { name: 'fleet-queue', target: fleetStorageId, group: 'queue' }
  { name: 'fleet-table', target: fleetStorageId, group: 'table' }
  { name: 'audit-blob', target: auditStorageId, group: 'blob' }
  { name: 'events', target: eventsId, group: 'namespace' }
  { name: 'logs', target: logsId, group: 'namespace' }
  { name: 'alerts', target: topicId, group: 'topic' }
]

resource network 'Microsoft.Network/virtualNetworks@2024-05-01' existing = {
  name: 'vnet-${token}'
}

resource dns 'Microsoft.Network/privateDnsZones@2024-06-01' = [
  for zone in items(zones): {
    name: zone.value
    location: 'global'
    tags: tags
  }
]

resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [
  for (zone, index) in items(zones): {
    parent: dns[index]
    name: 'fleetcert'
    location: 'global'
    tags: tags
    properties: {
      registrationEnabled: false
      virtualNetwork: {
        id: network.id
      }
    }
  }
]

resource privateEndpoints 'Microsoft.Network/privateEndpoints@2024-05-01' = [
  for endpoint in endpoints: {
    name: 'pe-${endpoint.name}-${token}'
    location: location
    tags: tags
    properties: {
      subnet: {
        id: '${network.id}/subnets/endpoints'
      }
      privateLinkServiceConnections: [
        {
          name: endpoint.name
          properties: {
            privateLinkServiceId: endpoint.target
            groupIds: [endpoint.group]
          }
        }
      ]
    }
  }
]

resource records 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-05-01' = [
  for (endpoint, index) in endpoints: {
    parent: privateEndpoints[index]
    name: 'default'
    properties: {
      privateDnsZoneConfigs: [
        {
          name: endpoint.group
          properties: {
            privateDnsZoneId: resourceId('Microsoft.Network/privateDnsZones', zones[endpoint.group])
          }
        }
      ]
    }
    dependsOn: [dns]
  }
]
