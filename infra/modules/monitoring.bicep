metadata description = 'Where telemetry goes, who is paged, and the workbook. The alert rules stand in alerts.bicep.'

param location string
param tags object
param workspaceName string
param applicationInsightsName string
param actionGroupName string
@description('Who is paged by e-mail; empty: nobody.')
param alertEmail string
@secure()
@description('What is called beside that, such as the inbox of a paging service; empty: nothing.')
param alertWebhookUrl string
param appPrincipalId string
param eventsNamespaceName string

var roles = loadJsonContent('../roles.json')

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-02-01' = {
  name: workspaceName
  location: location
  tags: tags
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: 31
    features: {
      disableLocalAuth: true
    }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: applicationInsightsName
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: workspace.id
    DisableLocalAuth: true
  }
}

resource appToInsights 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(insights.id, appPrincipalId, roles.monitoringMetricsPublisher)
  scope: insights
  properties: {
    principalId: appPrincipalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roles.monitoringMetricsPublisher)
    description: 'The app and its host: traces, metrics and logs'
  }
}

resource events 'Microsoft.EventHub/namespaces@2024-01-01' existing = {
  name: eventsNamespaceName
}

resource eventsMetrics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  name: 'fleetcert'
  scope: events
  properties: {
    workspaceId: workspace.id
    metrics: [
      {
        category: 'AllMetrics'
        enabled: true
      }
    ]
  }
}

resource people 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: actionGroupName
  location: 'global'
  tags: tags
  properties: {
    groupShortName: 'fleetcert'
    enabled: true
    emailReceivers: empty(alertEmail)
      ? []
      : [
          {
            name: 'operator'
            emailAddress: alertEmail
            useCommonAlertSchema: true
          }
        ]
    webhookReceivers: empty(alertWebhookUrl)
      ? []
      : [
          {
            name: 'paging'
            serviceUri: alertWebhookUrl
            useCommonAlertSchema: true
          }
        ]
  }
}

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, 'fleetcert-workbook')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: 'fleetcert: the fleet'
    category: 'workbook'
    sourceId: workspace.id
    serializedData: loadTextContent('../workbook.json')
  }
}

output workspaceId string = workspace.id
output workspaceCustomerId string = workspace.properties.customerId
output applicationInsightsName string = insights.name
output actionGroupId string = people.id
