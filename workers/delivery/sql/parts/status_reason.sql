            when contact.status = 'do_not_contact' then 'do_not_contact'
            when contact.status = 'bounced' and message.channel = 'email' then 'bounced'
            when contact.status = 'unsubscribed' and message.channel = 'email' and message.class = 'marketing'
                then 'unsubscribed'
