metadata description = 'The three roles that no built-in one is narrow enough for.'

targetScope = 'subscription'

@description('Part of the names, which must be unique in the tenant.')
param environmentName string
param token string

// What the adapters of IoT Hub and DPS call, and no more: no identity can be made or deleted, no twin written, no method
// called. What can be deleted is an individual enrollment: enabling a device takes away the one that blocked it.
resource deviceAccess 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(subscription().id, token, 'fleetcert device access')
  properties: {
    roleName: 'fleetcert device access (${environmentName} ${token})'
    description: 'Reads devices, twins and CA certificates; disables and enables identities; sends commands, reads their feedback and purges what waits; blocks and unblocks registrations.'
    type: 'CustomRole'
    assignableScopes: [subscription().id]
    permissions: [
      {
        actions: [
          'Microsoft.Devices/iotHubs/certificates/Read'
          'Microsoft.Devices/provisioningServices/certificates/Read'
        ]
        notActions: []
        dataActions: [
          'Microsoft.Devices/IotHubs/cloudToDeviceMessages/feedback/action'
          'Microsoft.Devices/IotHubs/cloudToDeviceMessages/queue/purge/action'
          'Microsoft.Devices/IotHubs/cloudToDeviceMessages/send/action'
          'Microsoft.Devices/IotHubs/devices/read'
          'Microsoft.Devices/IotHubs/devices/write'
          'Microsoft.Devices/IotHubs/statistics/read'
          'Microsoft.Devices/IotHubs/twins/read'
          'Microsoft.Devices/provisioningServices/attestationmechanism/details/action'
          'Microsoft.Devices/provisioningServices/enrollmentGroups/read'
          'Microsoft.Devices/provisioningServices/enrollments/delete'
          'Microsoft.Devices/provisioningServices/enrollments/read'
          'Microsoft.Devices/provisioningServices/enrollments/write'
          'Microsoft.Devices/provisioningServices/registrationStates/read'
        ]
        notDataActions: []
      }
    ]
  }
}

resource registryAccess 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(subscription().id, token, 'fleetcert registry access')
  properties: {
    roleName: 'fleetcert registry access (${environmentName} ${token})'
    description: 'Reads devices of an ADR namespace, disables and enables them, revokes their certificates.'
    type: 'CustomRole'
    assignableScopes: [subscription().id]
    permissions: [
      {
        actions: [
          'Microsoft.DeviceRegistry/locations/operationStatuses/read'
          'Microsoft.DeviceRegistry/namespaces/devices/read'
          'Microsoft.DeviceRegistry/namespaces/devices/revoke/action'
          'Microsoft.DeviceRegistry/namespaces/devices/write'
        ]
        notActions: []
        dataActions: []
        notDataActions: []
      }
    ]
  }
}

// blobs/add/action makes new append blobs and appends to them; blobs/write could overwrite, blobs/delete could remove.
resource auditAppend 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(subscription().id, token, 'fleetcert audit append')
  properties: {
    roleName: 'fleetcert audit append (${environmentName} ${token})'
    description: 'Reads blobs, makes append blobs and appends to them; changes and deletes nothing.'
    type: 'CustomRole'
    assignableScopes: [subscription().id]
    permissions: [
      {
        actions: []
        notActions: []
        dataActions: [
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/add/action'
          'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read'
        ]
        notDataActions: []
      }
    ]
  }
}

output deviceAccessName string = deviceAccess.name
output registryAccessName string = registryAccess.name
output auditAppendName string = auditAppend.name
