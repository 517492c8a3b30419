/** Chooses between the system's theme, light and dark. */
import * as Menu from '@radix-ui/react-dropdown-menu'
import { Check, Monitor, Moon, Sun } from 'lucide-react'
import { setTheme, type Theme, useTheme } from './theme'

const CHOICES = [
  { value: 'system', label: 'System', icon: Monitor },
  { value: 'light', label: 'Light', icon: Sun },
  { value: 'dark', label: 'Dark', icon: Moon },
] as const

export function ThemeSwitch() {
  const theme = useTheme()
  const Icon = CHOICES.find((choice) => choice.value === theme)?.icon ?? Monitor
  return (
    <Menu.Root modal={false}>
      <Menu.Trigger className="rounded-lg p-2 text-ink-2 hover:bg-sunken hover:text-ink" aria-label={`Theme: ${theme}`}>
        <Icon className="size-4.5" aria-hidden />
      </Menu.Trigger>
      <Menu.Portal>
        <Menu.Content align="end" sideOffset={6} className="z-40 min-w-36 rounded-xl border border-line bg-surface p-1 shadow-float">
          <Menu.RadioGroup value={theme} onValueChange={(value) => setTheme(value as Theme)}>
            {CHOICES.map(({ value, label, icon: ChoiceIcon }) => (
              <Menu.RadioItem
                key={value}
                value={value}
                className="flex cursor-pointer items-center gap-2 rounded-lg px-2.5 py-1.5 text-sm data-[highlighted]:bg-sunken"
              >
                <ChoiceIcon className="size-4 text-ink-3" aria-hidden />
                <span className="flex-1">{label}</span>
                <Menu.ItemIndicator>
                  <Check className="size-4 text-accent" aria-hidden />
                </Menu.ItemIndicator>
              </Menu.RadioItem>
            ))}
          </Menu.RadioGroup>
        </Menu.Content>
      </Menu.Portal>
    </Menu.Root>
  )
}
