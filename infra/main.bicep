// Sasquash in a subscription: `azd up` deploys this, then the code, then event-subscription.bicep (docs/deploy.md).
targetScope = 'subscription'

@description('Name of this environment, part of every resource\'s name and tags. A subscription may have several.')
@minLength(2)
@maxLength(16)
param environmentName string

@description('Region of everything that is deployed.')
param location string

@description('What Sasquash may do without approval: observe (nothing), approve (everything requires approval), auto (what the rule table permits). There is no default: start with a week of observe.')
@allowed([
  'observe'
  'approve'
  'auto'
])
param mode string

@description('Ids of the monitored subscriptions. The identity gets its rights there.')
param subscriptionIds array = [
  subscription().subscriptionId
]

@description('Whether to grant the rights in each of those subscriptions. Turn off if an administrator grants them at a management group (infra/management-group.bicep).')
param grantRights bool = true

@description('Whether the identity may lock accounts down. It can then change any property of an account: leave it off if you do not use lockdowns.')
param lockdown bool = false

@description('Whether to create a storage account without data for the weekly drill. Requires this subscription to be among subscriptionIds.')
param drill bool = true

@description('Ids of storage accounts whose use is logged to the workspace, so that mails and incidents can list what a leak touched. Each request is one billed line.')
param loggedAccounts array = []

@description('Whether the intake, which parses untrusted input, is a separate app without rights on any account.')
param separateIntake bool = true

@description('How many instances of the responder are always ready for findings. 0: the first finding after an idle period waits for a cold start, and Event Grid may deliver it twice.')
@minValue(0)
@maxValue(10)
param alwaysReady int = 1

@description('Whether the apps reach their storage and vault through private endpoints in a network of their own.')
param privateNetwork bool = false

@description('Ids of the private DNS zones for blob, queue, table and vault, in this order, linked to the networks that resolve the names. Empty if a policy of yours adds the names.')
param dnsZoneIds array = []

@description('The security team\'s mailbox: a copy of every mail, and the receiver of the alert rules.')
param securityMailbox string

@description('The mailbox that mails are sent from. scripts/grant-exchange.ps1 lets the identity send from it, and from no other.')
param mailSender string

@description('Domains that an owner\'s address may be in, separated by commas.')
param mailDomains string

@description('Id of the SharePoint site with the incident list: host,site-guid,web-guid. Empty if incidents are filed elsewhere (docs/incidents.md).')
param incidentSite string

@description('Id of the SharePoint list that incidents are filed in.')
param incidentList string

@description('Application id of the registration that people and reporters sign in to (scripts/create-registration.sh creates it). Empty: the API refuses every call but health.')
param apiClientId string = ''

@description('Further settings of the app by their names (docs/settings.md), such as SASQUASH_RULES. They override the values set here.')
param settings object = {}

@description('Tags of everything that is deployed.')
param tags object = {}

var suffix = uniqueString(subscription().id, environmentName, location)
var allTags = union(tags, {
  'azd-env-name': environmentName
  application: 'sasquash'
})

var withDrill = drill && contains(subscriptionIds, subscription().subscriptionId)

resource group 'Microsoft.Resources/resourceGroups@2024-07-01' = {
  name: 'rg-sasquash-${environmentName}'
  location: location
  tags: allTags
}

module identities 'modules/identities.bicep' = {
  scope: group
  name: 'identities'
  params: {
    environmentName: environmentName
    location: location
    tags: allTags
  }
}

module monitoring 'modules/monitoring.bicep' = {
  scope: group
  name: 'monitoring'
  params: {
    environmentName: environmentName
    location: location
    tags: allTags
    publishers: [
      identities.outputs.responderPrincipalId
      identities.outputs.intakePrincipalId
    ]
  }
}

module network 'modules/network.bicep' = if (privateNetwork) {
  scope: group
  name: 'network'
  params: {
    environmentName: environmentName
    location: location
    tags: allTags
  }
}

module storage 'modules/storage.bicep' = {
  scope: group
  name: 'storage'
  params: {
    name: 'stsq${suffix}'
    location: location
    tags: allTags
    responderPrincipalId: identities.outputs.responderPrincipalId
    intakePrincipalId: identities.outputs.intakePrincipalId
    privateNetwork: privateNetwork
    workspaceId: monitoring.outputs.workspaceId
  }
}

module intakeStorage 'modules/intake-storage.bicep' = if (separateIntake) {
  scope: group
  name: 'intake-storage'
  params: {
    name: 'stsqin${suffix}'
    location: location
    tags: allTags
    principalId: identities.outputs.intakePrincipalId
    privateNetwork: privateNetwork
    workspaceId: monitoring.outputs.workspaceId
  }
}

module vault 'modules/vault.bicep' = {
  scope: group
  name: 'vault'
  params: {
    name: 'kvsq${suffix}'
    location: location
    tags: allTags
    readers: [
      identities.outputs.responderPrincipalId
      identities.outputs.intakePrincipalId
    ]
    privateNetwork: privateNetwork
    workspaceId: monitoring.outputs.workspaceId
  }
}

module drillAccount 'modules/drill.bicep' = if (withDrill) {
  scope: group
  name: 'drill'
  params: {
    name: 'stsqdrill${suffix}'
    location: location
    tags: allTags
    workspaceId: monitoring.outputs.workspaceId
  }
}

module topic 'modules/topic.bicep' = {
  scope: group
  name: 'topic'
  params: {
    name: 'egt-sasquash-${environmentName}-${suffix}'
    location: location
    tags: allTags
    storageName: storage.outputs.name
    senders: [
      identities.outputs.responderPrincipalId
      identities.outputs.intakePrincipalId
    ]
    workspaceId: monitoring.outputs.workspaceId
  }
}

module alerts 'modules/alerts.bicep' = {
  scope: group
  name: 'alerts'
  params: {
    environmentName: environmentName
    location: location
    tags: allTags
    mailbox: securityMailbox
    workspaceId: monitoring.outputs.workspaceId
    topicId: topic.outputs.id
  }
}

module workbook 'modules/workbook.bicep' = {
  scope: group
  name: 'workbook'
  params: {
    environmentName: environmentName
    location: location
    tags: allTags
    workspaceId: monitoring.outputs.workspaceId
  }
}

module endpoints 'modules/private-endpoints.bicep' = if (privateNetwork) {
  scope: group
  name: 'private-endpoints'
  params: {
    location: location
    tags: allTags
    networkName: 'vnet-sasquash-${environmentName}'
    storageName: storage.outputs.name
    intakeStorageName: separateIntake ? intakeStorage.outputs.name : ''
    vaultName: vault.outputs.name
    dnsZoneIds: dnsZoneIds
  }
  dependsOn: [
    network
  ]
}

// The settings of docs/settings.md, the same for both apps. Each app adds its identity.
var appSettings = union({
  SASQUASH_MODE: mode
  SASQUASH_SUBSCRIPTIONS: join(subscriptionIds, ',')
  SASQUASH_TOPIC_ENDPOINT: topic.outputs.endpoint
  SASQUASH_TENANT_ID: tenant().tenantId
  SASQUASH_CLOUD: 'public'
  SASQUASH_API_AUDIENCES: empty(apiClientId) ? '' : '${apiClientId},api://${apiClientId}'
  SASQUASH_HOST_ACCOUNTS: separateIntake ? intakeStorage.outputs.name : ''
  SASQUASH_KEY_VAULTS: ''
  SASQUASH_SECURITY_MAILBOX: securityMailbox
  SASQUASH_MAIL_SENDER: mailSender
  SASQUASH_MAIL_DOMAINS: mailDomains
  SASQUASH_OWNER_TAGS: 'sasquash-owner,owner'
  SASQUASH_OWNERS_OF_APPS: 'off'
  SASQUASH_INCIDENTS: ''
  SASQUASH_SENTINEL_WORKSPACE: ''
  SASQUASH_INCIDENT_WEBHOOK: ''
  SASQUASH_INCIDENT_WEBHOOK_SECRET: ''
  SASQUASH_INCIDENT_SITE: incidentSite
  SASQUASH_INCIDENT_LIST: incidentList
  SASQUASH_RAW_EVENTS: 'off'
  SASQUASH_TAG_MODES: ''
  SASQUASH_ACT_ALONE_HOURS: '24'
  SASQUASH_RULES: ''
  SASQUASH_ROTATIONS_A_DAY: '2'
  SASQUASH_APPROVAL_HOURS: '4'
  SASQUASH_AT_DEADLINE: 'escalate'
  SASQUASH_ESCALATION_MAILBOX: ''
  SASQUASH_SOURCE_QUOTA: '600'
  SASQUASH_SECOND_PERSON: 'on'
  SASQUASH_DRILL_ACCOUNT: withDrill ? drillAccount.outputs.name : ''
  SASQUASH_INTAKE_SENDERS: ''
  SASQUASH_INTAKE_QUOTA: '10000'
  SASQUASH_GITHUB_WEBHOOK_SECRET: ''
  SASQUASH_GITHUB_APP: ''
  SASQUASH_GITHUB_PRIVATE_KEY: ''
  SASQUASH_GITHUB_API: 'https://api.github.com'
  SASQUASH_GITHUB_SECRET_TYPES: 'azure_sas_token,azure_storage_account_key'
  SASQUASH_AZURE_DEVOPS_ORGANIZATION: ''
  SASQUASH_AZURE_DEVOPS_PASSWORD: ''
}, settings)

// The functions of each app are disabled in the other. Health is in both.
var withoutIntake = {
  'AzureWebJobs.take_report.Disabled': 'true'
  'AzureWebJobs.read_alert.Disabled': 'true'
}
var intakeAlone = {
  'AzureWebJobs.on_finding.Disabled': 'true'
  'AzureWebJobs.contain.Disabled': 'true'
  'AzureWebJobs.follow_up.Disabled': 'true'
  'AzureWebJobs.contain_poison.Disabled': 'true'
  'AzureWebJobs.follow_up_poison.Disabled': 'true'
  'AzureWebJobs.intake_poison.Disabled': 'true'
  'AzureWebJobs.collect_dead_letters.Disabled': 'true'
  'AzureWebJobs.sweep.Disabled': 'true'
  'AzureWebJobs.send_digest.Disabled': 'true'
  'AzureWebJobs.look_again.Disabled': 'true'
  'AzureWebJobs.look_at_accounts.Disabled': 'true'
  'AzureWebJobs.drill.Disabled': 'true'
  'AzureWebJobs.read_readiness.Disabled': 'true'
  'AzureWebJobs.serve_desk.Disabled': 'true'
  'AzureWebJobs.submit_revocation.Disabled': 'true'
  'AzureWebJobs.list_revocations.Disabled': 'true'
  'AzureWebJobs.read_revocation.Disabled': 'true'
  'AzureWebJobs.approve_revocation.Disabled': 'true'
  'AzureWebJobs.reject_revocation.Disabled': 'true'
  'AzureWebJobs.retry_revocation.Disabled': 'true'
  'AzureWebJobs.undo_lockdown.Disabled': 'true'
}

module responder 'modules/app.bicep' = {
  scope: group
  name: 'responder'
  params: {
    name: 'func-sasquash-${environmentName}-${suffix}'
    service: 'responder'
    location: location
    tags: allTags
    identityId: identities.outputs.responderId
    clientId: identities.outputs.responderClientId
    storageName: storage.outputs.name
    hostStorageName: storage.outputs.name
    container: 'package-responder'
    insightsConnection: monitoring.outputs.insightsConnection
    settings: appSettings
    switchedOff: separateIntake ? withoutIntake : {}
    alwaysReady: alwaysReady == 0 ? [] : [
      {
        // The host groups Event Grid triggers with HTTP (Azure/azure-functions-host,
        // FunctionMetadataExtensions.GetFunctionGroup): an instance of 'function:on_finding' would serve no finding.
        name: 'http'
        instanceCount: alwaysReady
      }
    ]
    subnetId: privateNetwork ? network.outputs.appsSubnetId : ''
    apiClientId: apiClientId
    workspaceId: monitoring.outputs.workspaceId
  }
}

module intake 'modules/app.bicep' = if (separateIntake) {
  scope: group
  name: 'intake'
  params: {
    name: 'func-sasquash-in-${environmentName}-${suffix}'
    service: 'intake'
    location: location
    tags: allTags
    identityId: identities.outputs.intakeId
    clientId: identities.outputs.intakeClientId
    storageName: storage.outputs.name
    hostStorageName: separateIntake ? intakeStorage.outputs.name : ''
    container: 'package-intake'
    insightsConnection: monitoring.outputs.insightsConnection
    settings: appSettings
    switchedOff: intakeAlone
    alwaysReady: []
    subnetId: privateNetwork ? network.outputs.appsSubnetId : ''
    apiClientId: apiClientId
    workspaceId: monitoring.outputs.workspaceId
  }
}

module rights 'modules/rights.bicep' = [for id in (grantRights ? subscriptionIds : []): {
  scope: subscription(id)
  name: 'sasquash-rights-${environmentName}'
  params: {
    environmentName: environmentName
    principalId: identities.outputs.responderPrincipalId
    lockdown: lockdown
  }
}]

module accountLogs 'modules/account-logs.bicep' = [for id in loggedAccounts: {
  scope: resourceGroup(split(id, '/')[2], split(id, '/')[4])
  name: 'sasquash-logs-${environmentName}-${uniqueString(id)}'
  params: {
    accountName: last(split(id, '/'))
    environmentName: environmentName
    workspaceId: monitoring.outputs.workspaceId
  }
}]

@description('The resource group of event-subscription.bicep.')
output AZURE_RESOURCE_GROUP string = group.name

@description('The topic that findings are published on.')
output SASQUASH_TOPIC_NAME string = topic.outputs.name

@description('Its endpoint, for publishers.')
output SASQUASH_TOPIC_ENDPOINT string = topic.outputs.endpoint

@description('The account with the dead letters.')
output SASQUASH_STORAGE_NAME string = storage.outputs.name

@description('The app with the function on_finding.')
output SASQUASH_RESPONDER_NAME string = responder.outputs.name

@description('The responders\' API.')
output SASQUASH_API string = 'https://${responder.outputs.host}/api'

@description('Prints an access token for the API, of the account that is signed in to the Azure CLI. Empty without apiClientId.')
output SASQUASH_TOKEN_COMMAND string = empty(apiClientId) ? '' : 'az account get-access-token --resource api://${apiClientId} --query accessToken --output tsv'

@description('Where reporters post.')
output SASQUASH_INTAKE string = 'https://${separateIntake ? intake.outputs.host : responder.outputs.host}/api/intake'

@description('For scripts/grant-graph.sh and scripts/grant-exchange.ps1.')
output SASQUASH_RESPONDER_PRINCIPAL_ID string = identities.outputs.responderPrincipalId

@description('For scripts/grant-graph.sh and scripts/grant-exchange.ps1.')
output SASQUASH_RESPONDER_CLIENT_ID string = identities.outputs.responderClientId

@description('For scripts/grant-graph.sh, where Defender reports.')
output SASQUASH_INTAKE_PRINCIPAL_ID string = identities.outputs.intakePrincipalId
