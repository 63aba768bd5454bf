metadata description = 'What the app may do with a hub and a DPS, ours or such as were there before; and what it must know of them.'

param hubName string
param dpsName string
param deviceAccessRoleName string
param appPrincipalId string

resource hub 'Microsoft.Devices/IotHubs@2023-06-30' existing = {
  name: hubName
}

resource dps 'Microsoft.Devices/provisioningServices@2026-03-01-preview' existing = {
  name: dpsName
}

resource appToHub 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(hub.id, appPrincipalId, deviceAccessRoleName)
  scope: hub
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', deviceAccessRoleName)
    description: 'The app: commands, feedback, identities, twins, CA certificates'
  }
}

resource appToDps 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(dps.id, appPrincipalId, deviceAccessRoleName)
  scope: dps
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', deviceAccessRoleName)
    description: 'The app: blocks registrations, reads enrollments, registrations, CA certificates'
  }
}

output hubId string = hub.id
output hubHostName string = hub.properties.hostName
output hubSkuName string = hub.sku.name
output hubUnits int = hub.sku.capacity
output dpsId string = dps.id
output dpsServiceHostName string = dps.properties.serviceOperationsHostName
output dpsIdScope string = dps.properties.idScope
