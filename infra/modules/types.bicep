// Types of parameters. A value that does not fit is refused before anything is deployed.

@export()
@description('Tags by name.')
type tagMap = {
  *: string
}

@export()
@description('What Sasquash may do without approval (docs/rules.md).')
type actingMode = 'observe' | 'approve' | 'auto'

@export()
@description('How storage accounts keep their copies: in three zones of the region, or in one place where a region has no zones.')
type redundancyKind = 'Standard_ZRS' | 'Standard_LRS'

@export()
@description('A managed identity. Its id is known before it is created, its object id is not.')
type principal = {
  @description('Id of the identity as a resource.')
  id: string

  @description('Its object id, which rights are granted to.')
  principalId: string
}

@export()
@description('Always-ready instances of a group of functions, in the format of Flex Consumption.')
type readyGroup = {
  name: string
  instanceCount: int
}

@export()
@description('App settings by name.')
type settingMap = {
  *: string
}

@export()
@sealed()
@description('What docs/settings.md describes and no other parameter of main.bicep sets. Absent or empty: the default of that page.')
type choices = {
  SASQUASH_ACT_ALONE_HOURS: string?
  SASQUASH_APPROVAL_HOURS: string?
  SASQUASH_AT_DEADLINE: ('escalate' | 'revoke' | '')?
  SASQUASH_AZURE_DEVOPS_ORGANIZATION: string?
  SASQUASH_AZURE_DEVOPS_PASSWORD: string?
  SASQUASH_CLOUD: ('public' | 'usgovernment' | 'china' | '')?
  SASQUASH_ESCALATION_MAILBOX: string?
  SASQUASH_FINDING_QUOTA: string?
  SASQUASH_GITHUB_API: string?
  SASQUASH_GITHUB_APP: string?
  SASQUASH_GITHUB_CLOSING_APP: string?
  SASQUASH_GITHUB_CLOSING_PRIVATE_KEY: string?
  SASQUASH_GITHUB_PRIVATE_KEY: string?
  SASQUASH_GITHUB_SECRET_TYPES: string?
  SASQUASH_GITHUB_WEBHOOK_SECRET: string?
  SASQUASH_INCIDENTS: ('sharepoint' | 'defender' | 'sentinel' | 'webhook' | 'mail' | '')?
  SASQUASH_INCIDENT_LIST: string?
  SASQUASH_INCIDENT_SITE: string?
  SASQUASH_INCIDENT_WEBHOOK: string?
  SASQUASH_INCIDENT_WEBHOOK_SECRET: string?
  SASQUASH_INTAKE_QUOTA: string?
  SASQUASH_INTAKE_SENDERS: string?
  SASQUASH_KEY_INDEX: ('on' | 'off' | '')?
  SASQUASH_KEY_VAULTS: string?
  SASQUASH_MAIL_DOMAINS: string?
  SASQUASH_MAIL_SENDER: string?
  SASQUASH_MANAGEMENT_GROUP: string?
  SASQUASH_OWNERS_OF_APPS: ('on' | 'off' | '')?
  SASQUASH_OWNER_TAGS: string?
  SASQUASH_RAW_EVENTS: ('on' | 'off' | '')?
  SASQUASH_RETENTION_DAYS: string?
  SASQUASH_ROTATIONS_A_DAY: string?
  SASQUASH_RULES: string?
  SASQUASH_SAS_BLOCK_MINUTES: string?
  SASQUASH_SAS_PERIOD: string?
  SASQUASH_SECOND_PERSON: ('on' | 'off' | '')?
  SASQUASH_SENTINEL_WORKSPACE: string?
  SASQUASH_SOURCE_QUOTA: string?
  SASQUASH_TAG_MODES: string?
  SASQUASH_UNATTRIBUTED_QUOTA: string?
}
