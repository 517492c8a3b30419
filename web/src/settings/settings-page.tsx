/** API keys and the audit trail. */
import { useSearchParams } from 'react-router'
import { Card, Page } from '../ui/page'
import { Tabs } from '../ui/tabs'
import { AuditTrail } from './audit-trail'
import { Keys } from './keys'

export function SettingsPage() {
  const [search, setSearch] = useSearchParams()
  return (
    <Page title="Keys & audit" description="Who may call this server, and who changed what.">
      <Card flush>
        <Tabs
          label="Settings"
          value={search.get('tab') ?? 'keys'}
          onChange={(tab) => setSearch({ tab }, { replace: true })}
          tabs={[
            { value: 'keys', label: 'API keys', content: <Keys /> },
            { value: 'audit', label: 'Audit trail', content: <AuditTrail /> },
          ]}
        />
      </Card>
    </Page>
  )
}
