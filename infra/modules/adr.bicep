metadata description = 'The ADR namespace with its credential and its one policy: who issues operational certificates, and for how long.'
metadata generation = 'B (2026-03-01-preview); docs/decisions/0008-infrastructure.md says what the next one changes'

param location string
param tags object
@minLength(3)
@maxLength(64)
param namespaceName string
param policyName string
@minValue(7)
@maxValue(90)
param leafValidityDays int
param iotPrincipalId string
param appPrincipalId string
param registryAccessRoleName string
@description('Object id of the first-party application IoT Hub in this tenant.')
param iotHubServicePrincipalObjectId string

var roles = loadJsonContent('../roles.json')

resource namespace 'Microsoft.DeviceRegistry/namespaces@2026-03-01-preview' = {
  name: namespaceName
  location: location
  tags: tags
  identity: {
    type: 'SystemAssigned'
  }
  properties: {}
}

resource credential 'Microsoft.DeviceRegistry/namespaces/credentials@2026-03-01-preview' = {
  parent: namespace
  name: 'default'
  location: location
  tags: tags
}

resource policy 'Microsoft.DeviceRegistry/namespaces/credentials/policies@2026-03-01-preview' = {
  parent: credential
  name: policyName
  properties: {
    certificate: {
      certificateAuthorityConfiguration: {
        keyType: 'ECC'
      }
      leafCertificateConfiguration: {
        validityPeriodInDays: leafValidityDays
      }
    }
  }
}

resource iotToNamespace 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(namespace.id, iotPrincipalId, roles.adrContributor)
  scope: namespace
  properties: {
    principalId: iotPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.adrContributor)
    description: 'IoT Hub and DPS: devices and their certificates in the namespace'
  }
}

resource appToNamespace 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(namespace.id, appPrincipalId, registryAccessRoleName)
  scope: namespace
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', registryAccessRoleName)
    description: 'The app: shuts devices out of the namespace, lets them in, revokes their certificates'
  }
}

// The preview asks for it (Azure docs: IoT Hub with ADR, prerequisites). It reaches this group alone, which holds
// nothing of the fleet's: that is why the IoT resources have a group of their own.
resource firstParty 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(resourceGroup().id, iotHubServicePrincipalObjectId, roles.contributor)
  properties: {
    principalId: iotHubServicePrincipalObjectId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.contributor)
    description: 'The application IoT Hub of Microsoft, which the preview asks for'
  }
}

output namespaceId string = namespace.id
output namespaceName string = namespace.name
output namespacePrincipalId string = namespace.identity.principalId
output policyName string = policy.name
